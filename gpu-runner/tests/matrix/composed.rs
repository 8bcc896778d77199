//! T21: an evictor and a quantiser together are what they are apart.

use gpu_runner::compress::{resolve, Compressor, COMPRESSORS};
use gpu_runner::Error;
use serde_json::{json, Value};

use super::configs::{base, schedules, SHAPE};
use super::feed::{Feed, Story};
use crate::fixtures::registry;

fn quantisers() -> impl Iterator<Item = &'static dyn Compressor> {
    let quantises = |m: &&'static dyn Compressor| m.spec().compose_role.is_some_and(|r| r.starts_with("quant"));
    COMPRESSORS.iter().copied().filter(quantises)
}

/// (evictor under one schedule, quantiser at its smallest) of all pairs that compose.
fn parts() -> Vec<(Value, &'static dyn Compressor)> {
    let evictors: Vec<Value> = COMPRESSORS.iter().flat_map(|m| schedules(*m)).collect();
    let all = evictors.iter().flat_map(|e| quantisers().map(move |q| (e.clone(), q)));
    all.filter(|(e, q)| resolve(&json!({"compose": [e, {q.spec().name: base(*q)}]}), Some(SHAPE)).is_ok())
        .collect()
}

#[test]
fn t21_the_pairs_of_the_design_compose_and_no_others() {
    let rows = registry()["compressors"].as_array().unwrap().clone();
    let role = |name: &str| {
        let row = rows.iter().find(|row| row["name"] == name).unwrap();
        row["compose_role"].as_str().unwrap_or_default().to_owned()
    };
    for evictor in COMPRESSORS.iter().flat_map(|m| schedules(*m)) {
        let (_, params) = evictor.as_object().unwrap().iter().next().unwrap();
        let at_prompt_only = match params.get("evict_at") {
            Some(at) => at == "prefill",
            // One schedule: of the rows without the choice only r_kv drops after steps.
            None => evictor.get("r_kv").is_none(),
        };
        for method in COMPRESSORS {
            let name = method.spec().name;
            let allowed = match role(name).as_str() {
                "quant" => true,
                "quant (only with evict_at=prefill)" => at_prompt_only,
                _ => false,
            };
            let pair = json!({"compose": [evictor, {name: base(*method)}]});
            match resolve(&pair, Some(SHAPE)) {
                Ok(_) => assert!(allowed, "{pair} composes"),
                Err(Error::Compressor { code, message }) => {
                    assert!(!allowed, "{pair}: {message}");
                    assert_eq!(code, "compose_unsupported", "{pair}: {message}");
                }
                Err(other) => panic!("{pair}: {other}"),
            }
        }
    }
}

#[test]
fn t21_with_a_budget_for_all_a_pair_is_its_quantiser() {
    let feed = Feed::new(SHAPE, 2);
    let story = Story::new(SHAPE, 230, 21);
    for (mut evictor, quantiser) in parts() {
        let (_, params) = evictor.as_object_mut().unwrap().iter_mut().next().unwrap();
        let name = if params.get("budget").is_some() {
            "budget"
        } else {
            "recent"
        };
        params[name] = json!(1000);
        let alone = json!({quantiser.spec().name: base(quantiser)});
        let pair = json!({"compose": [evictor, alone]});
        let dumps = |config: &Value| {
            let mut cache = feed.cache(config);
            let seq = feed.run(&mut cache, &story, 150, 70);
            let dumps = feed.dumps(&cache, seq);
            let stats = cache.release(seq).unwrap();
            (dumps, stats.dropped, stats.sealed_k, stats.sealed_v, stats.bytes_ideal)
        };
        assert!(dumps(&pair) == dumps(&alone), "{pair}");
    }
}

#[test]
fn t21_with_sixteen_bits_a_pair_is_its_evictor() {
    let feed = Feed::new(SHAPE, 2);
    let story = Story::new(SHAPE, 230, 22);
    let mut pairs = 0;
    for (evictor, quantiser) in parts() {
        let Some(Value::Object(identity)) = quantiser.identity() else {
            continue;
        };
        let mut params = base(quantiser);
        for name in quantiser.spec().aliases.iter().flat_map(|a| a.stands_for) {
            params.remove(*name);
        }
        params.extend(identity);
        let pair = json!({"compose": [evictor, {quantiser.spec().name: params}]});
        let dumps = |config: &Value| {
            let mut cache = feed.cache(config);
            let seq = feed.run(&mut cache, &story, 150, 70);
            let dumps = feed.dumps(&cache, seq);
            let stats = cache.release(seq).unwrap();
            (dumps, stats.dropped, stats.selections, stats.bytes_ideal)
        };
        assert!(dumps(&pair) == dumps(&evictor), "{pair}");
        pairs += 1;
    }
    assert!(pairs > 0, "no quantiser of a pair has an identity setting");
}

#[test]
fn a_pair_that_drops_at_the_prompts_end_keeps_the_entries_of_its_evictor() {
    let feed = Feed::new(SHAPE, 2);
    let story = Story::new(SHAPE, 230, 27);
    for (evictor, quantiser) in parts() {
        let pair = json!({"compose": [evictor, {quantiser.spec().name: base(quantiser)}]});
        let positions = |config: &Value| {
            let mut cache = feed.cache(config);
            let seq = feed.start(&mut cache, &story, 200, 1);
            let stores = 0..SHAPE.layers * SHAPE.kv_heads;
            let of = |i: usize| cache.positions(seq, i / SHAPE.kv_heads, i % SHAPE.kv_heads);
            stores.map(of).collect::<Vec<_>>()
        };
        assert_eq!(positions(&pair), positions(&evictor), "{pair}");
    }
}
