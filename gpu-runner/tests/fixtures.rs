//! The numeric examples of the design for codecs, schedules and bytes of the methods that exist.

use gpu_runner::backend::cpu::{Isa, Pool};
use gpu_runner::cache::dump::{pack, Sealed};
use gpu_runner::cache::{KvCache, Observed, SeqId};
use gpu_runner::compress::resolve;
use half::f16;
use serde_json::{json, Value};

use super::kv_trace::{cache, isas, shape, Trace};

const FIXTURES: &str = include_str!("fixtures/fixtures.json");
const REGISTRY: &str = include_str!("fixtures/compressors.json");
const OWN: &str = include_str!("fixtures/compressors-own.json");

pub fn fixture(name: &str) -> Value {
    let all: Value = serde_json::from_str(FIXTURES).unwrap();
    let found = all["fixtures"].as_array().unwrap().iter().find(|f| f["name"] == name);
    found.unwrap_or_else(|| panic!("no fixture {name}")).clone()
}

/// The design's registry, and rows of our own at its end.
pub fn registry() -> Value {
    let mut registry: Value = serde_json::from_str(REGISTRY).unwrap();
    let own: Value = serde_json::from_str(OWN).unwrap();
    let rows = registry["compressors"].as_array_mut().unwrap();
    rows.extend(own["compressors"].as_array().unwrap().iter().cloned());
    registry
}

/// Equal as JSON, numbers by value within a tolerance, keys in any order.
pub fn same(a: &Value, b: &Value, tolerance: f64) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => (x.as_f64().unwrap() - y.as_f64().unwrap()).abs() <= tolerance,
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(a, b)| same(a, b, tolerance)),
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(k, a)| y.get(k).is_some_and(|b| same(a, b, tolerance)))
        }
        _ => a == b,
    }
}

fn floats(value: &Value) -> Vec<f32> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|x| x.as_f64().unwrap() as f32)
        .collect()
}

fn counts(value: &Value) -> Vec<usize> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|x| x.as_u64().unwrap() as usize)
        .collect()
}

/// A one-store cache whose K and V are given row by row; `tokens` of them as prompt.
fn stored(compressor: &Value, isa: Isa, rows: &[Vec<f32>]) -> (KvCache, SeqId) {
    let shape = shape(1, 1, 1, 64);
    let mut cache = cache(shape, compressor, isa);
    let values: Vec<f16> = rows.iter().flatten().map(|x| f16::from_f32(*x)).collect();
    let seq = cache.admit(rows.len(), 1, 0).unwrap();
    cache
        .prefill_layer(&Pool::new(1), seq, 0, &values, &values, &Observed::default())
        .unwrap();
    (cache, seq)
}

fn codes(sealed: &Sealed, bits: usize, count: usize) -> Vec<u8> {
    let bit = |j: usize| (sealed.codes[j / 8] >> (j % 8) & 1) as u32;
    (0..count)
        .map(|i| (0..bits).map(|b| bit(i * bits + b) << b).sum::<u32>() as u8)
        .collect()
}

fn value(bits: u16) -> f64 {
    f16::from_bits(bits).to_f64()
}

/// A fixture's four values fill a group of 32 by repetition: same extremes, so the same scale, minimum and codes.
#[test]
fn the_group_quantiser_gives_the_codes_and_parameters_of_the_design() {
    for name in [
        "group_2bit_decimal",
        "group_2bit_half_even",
        "group_2bit_f16_exact",
        "group_4bit",
        "group_8bit",
        "group_degenerate",
        "group_scale_underflow",
    ] {
        let fixture = fixture(name);
        let x = floats(&fixture["inputs"]["x"]);
        let bits = fixture["inputs"]["bits"].as_u64().unwrap() as usize;
        let wanted: Vec<u8> = counts(&fixture["expected"]["codes"]).iter().map(|c| *c as u8).collect();
        let (scale, min) = (&fixture["expected"]["scale"], &fixture["expected"]["min"]);
        let dequant = floats(&fixture["expected"]["dequant"]);
        for isa in isas() {
            // 64 tokens, K and V of a token and channel = x[(token + channel) mod 4], window 32: V of 32 tokens and K
            // of all are sealed.
            let rows: Vec<Vec<f32>> = (0..64).map(|t| (0..64).map(|c| x[(t + c) % 4]).collect()).collect();
            let (cache, seq) = stored(&json!({"kivi": {"bits": bits, "window": 32}}), isa, &rows);
            let dump = cache.dump(seq, 0, 0);
            assert_eq!((dump.k.entries, dump.v.entries), (64, 32));
            for (sealed, lines) in [(&dump.k, 64), (&dump.v, 32)] {
                for (i, code) in codes(sealed, bits, lines * 64).into_iter().enumerate() {
                    assert_eq!(code, wanted[(i / 64 + i % 64) % 4], "{name} on {isa:?}, element {i}");
                }
                assert_eq!(sealed.scales.len(), lines * 2);
                assert!(
                    sealed.scales.iter().all(|s| same(&json!(value(*s)), scale, 0.0)),
                    "{name}: scale"
                );
                assert!(
                    sealed.minima.iter().all(|m| same(&json!(value(*m)), min, 0.0)),
                    "{name}: minimum"
                );
            }
            let (k, v) = cache.dequantised(seq, 0, 0);
            for (i, (a, b)) in k.iter().zip(&v).enumerate().take(32 * 64) {
                let wanted = f64::from(dequant[(i / 64 + i % 64) % 4]);
                assert!(
                    (a - wanted).abs() <= 1e-6 && (b - wanted).abs() <= 1e-6,
                    "{name}: {a}, {b}, not {wanted}"
                );
            }
        }
    }
}

#[test]
fn sixteen_bits_store_the_f16_input() {
    let fixture = fixture("group_16bit_identity");
    let x = floats(&fixture["inputs"]["x"]);
    let rows: Vec<Vec<f32>> = (0..64).map(|_| x.repeat(16)).collect();
    for compressor in [
        json!({"kivi": {"bits": 16}}),
        json!({"kivi": {"k_bits": 16, "v_bits": 4, "window": 32}}),
    ] {
        let (cache, seq) = stored(&compressor, Isa::detect(), &rows);
        let (k, _) = cache.dequantised(seq, 0, 0);
        let wanted = floats(&fixture["expected"]["dequant"]);
        assert!(
            k.iter().enumerate().all(|(i, k)| *k == f64::from(wanted[i % 4])),
            "{compressor}"
        );
        assert_eq!(cache.dump(seq, 0, 0).k.entries, 0);
    }
}

#[test]
fn keys_group_along_tokens_and_values_along_channels() {
    let fixture = fixture("kivi_axes_2bit");
    let x: Vec<Vec<f32>> = fixture["inputs"]["x"].as_array().unwrap().iter().map(floats).collect();
    let wanted = &fixture["expected"];
    let rows: Vec<Vec<f32>> = (0..64).map(|t| x[t % 4].repeat(32)).collect();
    for isa in isas() {
        let (cache, seq) = stored(&json!({"kivi": {"bits": 2, "window": 32}}), isa, &rows);
        let dump = cache.dump(seq, 0, 0);
        let k = codes(&dump.k, 2, 64 * 64);
        let v = codes(&dump.v, 2, 32 * 64);
        for i in 0..64 {
            // The first two channels, then the first four tokens.
            let channel = i % 2;
            assert_eq!(
                usize::from(k[channel * 64 + i]),
                counts(&wanted["k_codes_by_channel"][channel])[i % 4]
            );
            assert_eq!(
                usize::from(v[i % 4 * 64 + i]),
                counts(&wanted["v_codes_by_token"][i % 4])[i % 2]
            );
        }
        for channel in 0..2 {
            assert_eq!(
                value(dump.k.scales[channel * 2]),
                wanted["k_scale"][channel].as_f64().unwrap()
            );
            assert_eq!(
                value(dump.k.minima[channel * 2]),
                wanted["k_min"][channel].as_f64().unwrap()
            );
        }
        for token in 0..4 {
            assert!((value(dump.v.scales[token * 2]) - wanted["v_scale"][token].as_f64().unwrap()).abs() <= 1e-6);
            assert_eq!(
                value(dump.v.minima[token * 2]),
                wanted["v_min"][token].as_f64().unwrap()
            );
        }
    }
}

#[test]
fn codes_pack_low_bits_first() {
    for name in ["pack_2bit", "pack_4bit", "pack_8bit", "pack_3bit"] {
        let fixture = fixture(name);
        let codes: Vec<u8> = counts(&fixture["inputs"]["codes"]).iter().map(|c| *c as u8).collect();
        let packed = pack(&codes, fixture["inputs"]["bits"].as_u64().unwrap() as usize);
        let hex: String = packed.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, fixture["expected"]["bytes_hex"].as_str().unwrap(), "{name}");
    }
}

#[test]
fn kivi_seals_on_the_schedule_of_the_design() {
    let pool = Pool::new(1);
    let trace = Trace::new(shape(1, 1, 1, 64), 400, 3);
    for name in ["kivi_schedule_token", "kivi_schedule_block"] {
        let fixture = fixture(name);
        let flush = fixture["inputs"]["v_flush"].as_str().unwrap();
        for row in fixture["expected"]["rows"].as_array().unwrap() {
            let field = |name: &str| row[name].as_u64().unwrap() as usize;
            let (prompt, steps) = (field("T"), field("step"));
            let mut cache = cache(trace.shape, &json!({"kivi": {"v_flush": flush}}), Isa::detect());
            cache.audit_seals();
            let seq = trace.start(&pool, &mut cache, prompt, steps + 1);
            for token in prompt..prompt + steps {
                trace.step(&pool, &mut cache, seq, token, |_, _| ());
            }
            let store = cache.store(seq, 0, 0);
            let (k, v) = (field("k_quant"), field("v_quant"));
            assert_eq!(
                (store.k_paged, store.n - store.k_paged),
                (k, field("k_window")),
                "{name} {row}"
            );
            assert_eq!(
                (store.v_paged, store.n - store.v_paged),
                (v, field("v_window")),
                "{name} {row}"
            );
            let once = |i: usize, sealed: usize| u8::from(i < sealed);
            assert!(
                store
                    .seals
                    .iter()
                    .enumerate()
                    .all(|(i, s)| *s == [once(i, k), once(i, v)]),
                "sealed once"
            );
            let stats = cache.release(seq).unwrap();
            assert_eq!((stats.sealed_k, stats.sealed_v), (k, v));
        }
    }
}

fn slots(cache: &KvCache, seq: SeqId, sinks: usize) -> Vec<usize> {
    let store = cache.store(seq, 0, 0);
    assert_eq!(
        store.slot(store.newest, sinks),
        store.n - 1,
        "the newest entry has the last slot"
    );
    let mut slots: Vec<usize> = (0..store.n).map(|place| store.slot(place, sinks)).collect();
    slots.sort_unstable();
    slots
}

#[test]
fn streaming_llm_keeps_and_counts_what_the_design_says() {
    let pool = Pool::new(1);
    let trace = Trace::new(shape(1, 1, 1, 64), 20, 3);
    for name in ["streaming_kept", "streaming_no_evict"] {
        let fixture = fixture(name);
        let input = |name: &str| fixture["inputs"][name].as_u64().unwrap() as usize;
        for positions in ["slot", "original"] {
            let params = json!({"sinks": input("sinks"), "recent": input("recent"), "positions": positions});
            let mut cache = cache(trace.shape, &json!({"streaming_llm": params}), Isa::detect());
            let seq = trace.start(&pool, &mut cache, input("tokens"), 1);
            let kept: Vec<usize> = cache.positions(seq, 0, 0).iter().map(|p| *p as usize).collect();
            assert_eq!(kept, counts(&fixture["expected"]["kept"]));
            if name == "streaming_kept" {
                let next = cache.query_position(seq, 0);
                assert_eq!(
                    next as u64,
                    fixture["expected"][format!("{positions}_next_query")].as_u64().unwrap()
                );
                let keys = if positions == "slot" {
                    slots(&cache, seq, 4)
                } else {
                    kept
                };
                assert_eq!(keys, counts(&fixture["expected"][format!("{positions}_key_positions")]));
            }
        }
    }
    let fixture = fixture("streaming_step_positions");
    let compressor = json!({"streaming_llm": {"sinks": 4, "recent": 3}});
    let mut cache = cache(trace.shape, &compressor, Isa::detect());
    let seq = trace.start(&pool, &mut cache, 9, 2);
    let positions =
        |cache: &KvCache| -> Vec<usize> { cache.positions(seq, 0, 0).iter().map(|p| *p as usize).collect() };
    assert_eq!(positions(&cache), counts(&fixture["inputs"]["cached"]));
    assert_eq!(cache.query_position(seq, 0), 7);
    trace.step(&pool, &mut cache, seq, 9, |cache, _| {
        assert_eq!(
            slots(cache, seq, 4),
            counts(&fixture["expected"]["slot_positions_in_step"])
        );
    });
    assert_eq!(positions(&cache), counts(&fixture["expected"]["kept_after"]));
}

#[test]
fn entries_after_each_step_follow_evict_at() {
    let pool = Pool::new(1);
    let trace = Trace::new(shape(1, 1, 1, 64), 20, 3);
    for name in ["evict_at_step_short", "evict_at_prefill_long"] {
        let fixture = fixture(name);
        let input = |name: &str| fixture["inputs"][name].as_u64().unwrap() as usize;
        let params = json!({"sinks": 2, "budget": input("budget"), "evict_at": fixture["inputs"]["evict_at"]});
        let mut cache = cache(trace.shape, &json!({"streaming_llm": params}), Isa::detect());
        let seq = trace.start(&pool, &mut cache, input("T"), input("steps") + 1);
        let mut entries = vec![cache.store(seq, 0, 0).n];
        for token in input("T")..input("T") + input("steps") {
            trace.step(&pool, &mut cache, seq, token, |_, _| ());
            entries.push(cache.store(seq, 0, 0).n);
        }
        assert_eq!(entries, counts(&fixture["expected"]["entries_after_step"]), "{name}");
    }
}

#[test]
fn bits_and_bytes_a_token_are_those_of_the_table() {
    let fixture = fixture("bits_table");
    let mut checked = 0;
    for row in fixture["expected"]["rows"].as_array().unwrap() {
        let words: Vec<&str> = row["config"].as_str().unwrap().split([' ', ',']).collect();
        let compressor = match words[0] {
            "none" => json!("none"),
            "kivi" => {
                let number = |i: usize| words[i].parse::<u64>().unwrap();
                json!({"kivi": {"bits": number(1), "group": number(5)}})
            }
            _ => continue,
        };
        let resolved = resolve(&compressor, None).unwrap();
        for (name, layers, heads, d) in [("llama-3.1-8b", 32, 8, 128), ("30x3x64", 30, 3, 64)] {
            let bits = resolved.storer.method.bits(&resolved.storer.params, d).mean();
            assert_eq!(bits, row[format!("bits_d{d}")].as_f64().unwrap(), "{row}");
            let layout = resolved.layout(0, shape(layers, 1, heads, d));
            let tokens = layout.page_tokens;
            let bytes =
                (layout.k.payload_bytes(d, tokens) + layout.v.payload_bytes(d, tokens)) * layers * heads / tokens;
            assert_eq!(
                bytes as f64,
                row[format!("bytes_token_{name}")].as_f64().unwrap(),
                "{row}"
            );
            assert_eq!(layout.bits(d), bits);
        }
        checked += 1;
    }
    assert_eq!(checked, 6);
}

#[test]
fn mean_bits_of_kivi_with_its_window_are_those_of_the_table() {
    let fixture = fixture("kivi_mean_bits");
    for row in fixture["expected"]["rows"].as_array().unwrap() {
        let field = |name: &str| row[name].as_u64().unwrap() as usize;
        let (n, window) = (field("entries"), field("window"));
        let compressor = json!({"kivi": {"bits": field("bits"), "group": field("group"), "window": window}});
        let resolved = resolve(&compressor, None).unwrap();
        let layout = resolved.layout(0, shape(1, 1, 1, 64));
        // Bits a number of K at each window length of the saw-tooth, and of V.
        let bits = |f16: usize, k: bool| {
            let (ks, vs) = if k { (n - f16, n) } else { (n, n - f16) };
            let all = layout.payload_bytes(64, n, ks, vs) - if k { layout.v } else { layout.k }.payload_bytes(64, n);
            all as f64 * 8.0 / (n * 64) as f64
        };
        let k = (0..window).map(|f16| bits(f16, true)).sum::<f64>() / window as f64;
        let v = bits(window, false);
        for (name, found) in [("k", k), ("v", v), ("mean", (k + v) / 2.0)] {
            assert!(
                (found - row[name].as_f64().unwrap()).abs() <= 1e-3,
                "{row}: {name} is {found}"
            );
        }
    }
}

#[test]
fn stores_and_pages_take_the_bytes_of_the_design() {
    let pool = Pool::new(1);
    let wanted = &fixture("bytes_none_pages")["expected"];
    let trace = Trace::new(shape(2, 1, 3, 64), 100, 1);
    let mut none = cache(trace.shape, &json!("none"), Isa::detect());
    let seq = trace.start(&pool, &mut none, 100, 1);
    assert_eq!(
        none.store(seq, 0, 0).pages.len() as u64,
        wanted["pages_per_store"].as_u64().unwrap()
    );
    let stats = none.release(seq).unwrap();
    assert_eq!(stats.bytes_end as u64, wanted["alloc_bytes"].as_u64().unwrap());
    assert_eq!(stats.bytes_ideal as u64, wanted["payload_bytes"].as_u64().unwrap());

    let trace = Trace::new(shape(1, 1, 1, 64), 300, 1);
    let mut kivi = cache(trace.shape, &json!({"kivi": {"bits": 4}}), Isa::detect());
    let seq = trace.start(&pool, &mut kivi, 300, 1);
    let wanted = fixture("bytes_kivi_store")["expected"]["payload_bytes"]
        .as_u64()
        .unwrap();
    assert_eq!(kivi.dump(seq, 0, 0).payload_bytes() as u64, wanted);
    assert_eq!(kivi.release(seq).unwrap().bytes_ideal as u64, wanted);
}

#[test]
fn an_evictor_at_its_budget_takes_the_bytes_of_the_design() {
    let fixture = fixture("bytes_evictors");
    let row = &fixture["expected"]["rows"][1];
    assert_eq!(row["shape"], "30x3x64");
    let trace = Trace::new(shape(30, 3, 3, 64), 1100, 1);
    let mut cache = cache(trace.shape, &json!({"streaming_llm": {}}), Isa::detect());
    let seq = trace.start(&Pool::new(2), &mut cache, 1100, 1);
    let stats = cache.release(seq).unwrap();
    let (f16_bytes, positions) = (
        row["f16_bytes_at_budget"].as_u64().unwrap(),
        row["position_bytes"].as_u64().unwrap(),
    );
    assert_eq!(stats.bytes_ideal as u64, f16_bytes);
    // 1,024 entries fill 16 pages exactly.
    assert_eq!(stats.bytes_end as u64, f16_bytes + positions);
}
