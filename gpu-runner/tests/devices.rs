use gpu_runner::backend::cpu::Isa;
use gpu_runner::bench;
use gpu_runner::devices;
use serde_json::Value;

#[test]
fn the_json_line_names_the_cpu_and_says_that_there_is_no_cuda_backend() {
    let mut out = Vec::new();
    devices::print(true, false, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.lines().count(), 1);
    let found: Value = serde_json::from_str(&text).unwrap();
    assert!(found["cpu"]["cores"].as_u64().unwrap() >= 1);
    let isas: Vec<&str> = Isa::available().into_iter().map(Isa::name).collect();
    assert_eq!(found["cpu"]["isas"], serde_json::json!(isas));
    assert!(found["gpu_note"].as_str().unwrap().contains("no CUDA backend"));
    assert!(found.get("measured").is_none());
}

#[test]
fn an_instruction_set_is_chosen_by_name_or_refused_with_the_names() {
    assert_eq!(Isa::choose(None).unwrap(), Isa::detect());
    assert_eq!(Isa::choose(Some("scalar")).unwrap(), Isa::Scalar);
    let error = Isa::choose(Some("sse9")).unwrap_err();
    assert_eq!(error.kind(), "bad_request");
    assert!(error.to_string().contains("scalar, avx2 or avx512"));
    for isa in Isa::ALL {
        match Isa::choose(Some(isa.name())) {
            Ok(chosen) => assert!(chosen == isa && isa.is_available()),
            Err(error) => assert!(error.kind() == "unsupported" && !isa.is_available()),
        }
    }
}

#[test]
fn a_bench_line_holds_time_bound_and_check() {
    let options = bench::Options {
        kernels: vec!["linear".into()],
        threads: 2,
        weights: vec!["Q4_1".into()],
        batches: vec![1],
        json: true,
    };
    let mut out = Vec::new();
    bench::run(&options, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0]["peaks"]["int8_gop_s"].as_f64().unwrap() > 0.0);
    let row = &lines[1];
    assert_eq!((&row["kernel"], &row["matches"]), (&"linear".into(), &true.into()));
    // 4096 x 1536 weights of 5 bits.
    assert_eq!(row["bytes"].as_f64().unwrap(), 4096.0 * 1536.0 * 5.0 / 8.0);
    let (median, bound) = (row["us"]["median"].as_f64().unwrap(), row["bound_us"].as_f64().unwrap());
    assert!((row["of_bound"].as_f64().unwrap() - bound / median).abs() < 1e-9);
}

#[test]
fn unknown_kernels_types_and_batches_are_refused_by_name() {
    for (kernels, weights, batches, word) in [
        (vec!["gemm"], vec![], vec![], "\"gemm\""),
        (vec!["region"], vec!["Q3_K"], vec![], "\"Q3_K\""),
        (vec!["region"], vec![], vec![0], "batch of 0"),
    ] {
        let options = bench::Options {
            kernels: kernels.into_iter().map(String::from).collect(),
            weights: weights.into_iter().map(String::from).collect(),
            batches,
            ..Default::default()
        };
        let error = bench::run(&options, &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), "bad_request");
        assert!(error.to_string().contains(word), "{error}");
    }
}
