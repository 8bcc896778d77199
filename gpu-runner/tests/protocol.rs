use crate::gguf_file::Temporary;
use crate::tiny::{generate, item, model, of};
use serde_json::{json, Value};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{channel, Receiver};
use std::time::Duration;

/// A served engine. Events come with a deadline, so that a hang is a failure and not a stall.
struct Served {
    child: Child,
    stdin: Option<ChildStdin>,
    events: Receiver<String>,
    seen: Vec<Value>,
}

impl Served {
    fn start() -> Served {
        let mut child = Command::new(env!("CARGO_BIN_EXE_gpu-runner"))
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let (send, events) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                if line.map_or(true, |line| send.send(line).is_err()) {
                    break;
                }
            }
        });
        let stdin = child.stdin.take();
        let mut served = Served {
            child,
            stdin,
            events,
            seen: Vec::new(),
        };
        assert_eq!(served.next()["event"], "hello");
        served
    }

    fn with_model() -> (Served, Temporary) {
        let (mut served, file) = (Served::start(), model("llama"));
        served.send(json!({"op": "load", "id": "l", "model": {"path": file.0}, "threads": 2}));
        let loaded = served.until("loaded");
        assert_eq!(
            (&loaded["id"], &loaded["model"]["arch"]),
            (&json!("l"), &json!("llama"))
        );
        (served, file)
    }

    fn send(&mut self, request: Value) {
        self.line(request.to_string().as_bytes());
    }

    fn line(&mut self, line: &[u8]) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(line).unwrap();
        stdin.write_all(b"\n").unwrap();
        stdin.flush().unwrap();
    }

    fn cell(&mut self, name: &str, mut cell: Value, items: &[Value]) {
        cell["op"] = json!("cell");
        cell["cell"] = json!(name);
        self.send(cell);
        self.send(json!({"op": "samples", "cell": name, "items": items}));
        self.send(json!({"op": "start", "cell": name}));
    }

    /// The next event, whose number must follow the one before.
    fn next(&mut self) -> Value {
        let line = self
            .events
            .recv_timeout(Duration::from_secs(120))
            .expect("an event in time");
        let event: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["n"], self.seen.len(), "events are numbered without gaps");
        self.seen.push(event.clone());
        event
    }

    fn until(&mut self, kind: &str) -> Value {
        loop {
            let event = self.next();
            if event["event"] == kind {
                return event;
            }
            assert_ne!(event["event"], "bye", "the engine ended before {kind}: {event}");
        }
    }

    fn exit(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Far more work than a test waits for.
fn long() -> (Value, Vec<Value>) {
    let items = (0..2000).map(|i| item(&format!("s{i}"), 200)).collect();
    (generate(json!("none"), 2, "continuous", 300), items)
}

#[test]
fn cells_run_in_start_order_and_the_engine_leaves_with_code_0() {
    let (mut served, _file) = Served::with_model();
    served.cell(
        "a",
        generate(json!("none"), 2, "static", 4),
        &[item("x", 5), item("y", 9), item("z", 3)],
    );
    served.cell(
        "b",
        generate(json!({"kivi": {"bits": 2}}), 1, "continuous", 4),
        &[item("x", 200)],
    );
    served.send(json!({"op": "encode", "id": "e", "texts": ["th", "h"], "chat": false}));
    served.send(json!({"op": "shutdown"}));
    served.until("bye");
    assert_eq!(served.exit(), Some(0));
    let kinds: Vec<_> = served
        .seen
        .iter()
        .map(|e| e["event"].as_str().unwrap())
        .filter(|e| *e != "progress")
        .collect();
    let want = [
        "hello", "loaded", "planned", "sample", "sample", "sample", "finished", "planned", "sample", "finished",
        "encoded", "bye",
    ];
    assert_eq!(kinds, want);
    assert_eq!(of(&served.seen, "encoded")[0]["ids"][0], json!([257]));
    let planned = of(&served.seen, "planned")[1];
    assert_eq!(planned["effective"]["kivi"]["k_bits"], 2);
    assert_eq!(planned["effective"]["kivi"]["window"], 128);
    assert_eq!(of(&served.seen, "hello")[0]["protocol"], 1);
}

#[test]
fn wrong_requests_are_told_apart_and_the_engine_goes_on() {
    let (mut served, _file) = Served::with_model();
    let cases = [
        (r#"{"op":"ping","id":"p","colour":1}"#.to_owned(), "bad_request", "unknown field `colour`"),
        ("not json".to_owned(), "bad_request", "not JSON"),
        (r#"{"op":"fly","id":"f"}"#.to_owned(), "bad_request", "unknown op \"fly\""),
        (r#"{"op":"start","cell":"nobody"}"#.to_owned(), "bad_request", "is not defined"),
        (r#"{"op":"samples","cell":"nobody","items":[]}"#.to_owned(), "bad_request", "is not defined"),
        (r#"{"op":"cancel","cell":"nobody"}"#.to_owned(), "bad_request", "is not defined"),
        (
            r#"{"op":"calibrate","id":"k","compressor":{"kvquant":{}},"tokens":[[1]],"out":"x"}"#.to_owned(),
            "bad_request",
            "longer than sinks_fp",
        ),
        (
            r#"{"op":"cell","cell":"m","compressor":"none","batch":"max","workload":{"score":{}}}"#.to_owned(),
            "bad_request",
            "belongs to throughput",
        ),
        (
            r#"{"op":"cell","cell":"m","compressor":"none","batch":1,"workload":{"generate":{"max_new_tokens":4,"sampling":{"greedy":true,"top_k":3}}}}"#
                .to_owned(),
            "bad_request",
            "greedy takes no other parameter",
        ),
        (
            r#"{"op":"cell","cell":"m","compressor":"none","batch":1,"workload":{"generate":{"max_new_tokens":4,"truncate_at":99}}}"#
                .to_owned(),
            "bad_request",
            "a limit of truncate middle_retok alone",
        ),
    ];
    for (line, kind, text) in cases {
        served.line(line.as_bytes());
        let failed = served.until("failed");
        assert_eq!(
            (&failed["kind"], &failed["usable"]),
            (&json!(kind), &json!(true)),
            "{line}"
        );
        assert!(
            failed["message"].as_str().unwrap().contains(text),
            "{line}: {}",
            failed["message"]
        );
    }
    served.line(&[0xff, 0xfe]);
    assert!(served.until("failed")["message"].as_str().unwrap().contains("UTF-8"));
    served.send(json!({"op": "ping", "id": "p"}));
    assert_eq!(served.until("pong")["state"], "idle");
}

#[test]
fn a_refused_compressor_fails_its_cell_with_the_registrys_code() {
    let (mut served, _file) = Served::with_model();
    for (compressor, code) in [
        (json!({"gzip": {}}), "unknown_compressor"),
        (json!({"kivi": {"colour": 1}}), "unknown_param"),
        (json!({"kivi": {"bits": 5}}), "param_range"),
        (json!({"kivi": {"bits": 4, "k_bits": 2}}), "param_conflict"),
    ] {
        served.cell("c", generate(compressor.clone(), 1, "static", 2), &[item("x", 4)]);
        let failed = served.until("failed");
        assert_eq!(
            (&failed["cell"], &failed["kind"]),
            (&json!("c"), &json!("compressor")),
            "{compressor}"
        );
        assert_eq!(failed["code"], code, "{failed}");
    }
    served.cell("c", generate(json!("none"), 1, "static", 2), &[item("x", 4)]);
    served.until("finished");
    served.send(json!({"op": "shutdown"}));
    assert_eq!(served.until("bye")["code"], 1);
    assert_eq!(served.exit(), Some(1));
}

#[test]
fn a_bad_model_is_a_model_file_error_and_cuda_is_unsupported() {
    let mut served = Served::start();
    served.send(json!({"op": "load", "id": "a", "model": {"path": "/nowhere/model.gguf"}}));
    let failed = served.until("failed");
    assert_eq!(
        (&failed["id"], &failed["kind"], &failed["usable"]),
        (&json!("a"), &json!("model_file"), &json!(true))
    );
    let file = model("llama");
    served.send(json!({"op": "load", "id": "b", "model": {"path": file.0, "sha256": "00"}}));
    assert!(served.until("failed")["message"].as_str().unwrap().contains("sha256"));
    served.send(json!({"op": "load", "id": "c", "model": {"path": file.0}, "backend": "cuda"}));
    assert_eq!(served.until("failed")["kind"], "unsupported");
    served.cell("c", generate(json!("none"), 1, "static", 2), &[item("x", 4)]);
    assert!(served.until("failed")["message"]
        .as_str()
        .unwrap()
        .contains("needs a model"));
}

#[test]
fn a_line_over_the_limit_is_refused_and_the_next_one_is_read() {
    let mut served = Served::start();
    let mut line = vec![b' '; (8 << 20) + 1];
    line[0] = b'{';
    served.line(&line);
    let failed = served.until("failed");
    assert_eq!(failed["kind"], "bad_request");
    assert!(failed["message"].as_str().unwrap().contains("longer than"), "{failed}");
    served.send(json!({"op": "ping", "id": "p"}));
    served.until("pong");
}

#[test]
fn cancel_and_ping_act_while_a_cell_runs_and_the_next_cell_runs() {
    let (mut served, _file) = Served::with_model();
    let (cell, items) = long();
    served.cell("long", cell.clone(), &items);
    served.cell("waiting", cell, &items);
    served.cell("next", generate(json!("none"), 1, "static", 2), &[item("x", 4)]);
    let first = served.until("sample");
    assert_eq!(first["cell"], "long");
    served.send(json!({"op": "ping", "id": "p"}));
    assert_eq!(served.until("pong")["state"], "busy");
    served.send(json!({"op": "cancel", "cell": "waiting"}));
    served.send(json!({"op": "cancel", "cell": "long"}));
    let cancelled = served.until("cancelled");
    assert_eq!(cancelled["cell"], "long");
    let emitted = of(&served.seen, "sample").len();
    assert_eq!(cancelled["samples"], emitted, "samples already emitted stay valid");
    assert_eq!(served.until("cancelled")["cell"], "waiting");
    assert_eq!(served.until("finished")["cell"], "next");
    served.send(json!({"op": "shutdown"}));
    served.until("bye");
    assert_eq!(served.exit(), Some(4));
}

#[test]
fn the_end_of_stdin_means_that_the_parent_died() {
    let (mut served, _file) = Served::with_model();
    let (cell, items) = long();
    served.cell("long", cell, &items);
    served.until("sample");
    served.stdin = None;
    served.until("cancelled");
    assert_eq!(served.until("bye")["code"], 4);
    assert_eq!(served.exit(), Some(4));
}

#[test]
fn sigterm_ends_a_running_cell_between_two_steps() {
    let (mut served, _file) = Served::with_model();
    let (cell, items) = long();
    served.cell("long", cell, &items);
    served.until("sample");
    let id = served.child.id().to_string();
    assert!(Command::new("kill").arg(&id).status().unwrap().success());
    served.until("cancelled");
    assert_eq!(served.exit(), Some(4));
}

#[test]
fn a_file_of_requests_is_run_to_its_end() {
    let file = model("llama");
    let lines = |cell: Value| {
        let load = json!({"op": "load", "id": "l", "model": {"path": file.0}, "threads": 1});
        let samples = json!({"op": "samples", "cell": "c", "items": [item("x", 4)]});
        let text = format!("{load}\n{cell}\n{samples}\n\n{}", json!({"op": "start", "cell": "c"}));
        Temporary::new(text.as_bytes())
    };
    let run = |path: &std::path::Path| {
        let output = Command::new(env!("CARGO_BIN_EXE_gpu-runner"))
            .arg("run")
            .arg(path)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let mut good = generate(json!("none"), 1, "static", 2);
    (good["op"], good["cell"]) = (json!("cell"), json!("c"));
    let (code, text) = run(&lines(good).0);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.lines().last().unwrap().contains("\"bye\""));
    let mut refused = generate(json!({"gzip": {}}), 1, "static", 2);
    (refused["op"], refused["cell"]) = (json!("cell"), json!("c"));
    assert_eq!(run(&lines(refused).0).0, Some(1));
    assert_eq!(run(&Temporary::new(b"{\"op\":\"fly\"}").0).0, Some(2));
    assert_eq!(run(std::path::Path::new("/nowhere")).0, Some(2));
}

#[test]
fn list_and_resolve_answer_in_json() {
    let run = |args: &[&str], input: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_gpu-runner"))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    };
    let list: Value = serde_json::from_str(&run(&["list", "--json"], "")).unwrap();
    for key in [
        "protocol",
        "numerics",
        "compressors",
        "formats",
        "weights",
        "architectures",
        "error_kinds",
    ] {
        assert!(!list[key].is_null(), "{key}");
    }
    assert_eq!(list["architectures"], json!(["llama", "qwen2"]));
    let answers = run(
        &["resolve", "--json"],
        "{\"compressor\":{\"kivi\":{\"bits\":4}}}\n{\"compressor\":{\"kivi\":{\"x\":1}}}\n{\n",
    );
    let answers: Vec<Value> = answers
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers[0]["effective"]["kivi"]["v_bits"], 4);
    assert_eq!(answers[1]["error"]["code"], "unknown_param");
    assert_eq!(answers[2]["error"]["kind"], "bad_request");
}

#[test]
fn selftest_finds_no_kernel_that_differs_from_the_reference() {
    let output = Command::new(env!("CARGO_BIN_EXE_gpu-runner"))
        .args(["selftest", "--json"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (output.status.code(), &report["failed"]),
        (Some(0), &json!(0)),
        "{text}"
    );
    let checks = report["checks"].as_array().unwrap();
    let attention = |c: &&Value| c["name"].as_str().unwrap().starts_with("attention");
    assert!(checks.iter().filter(attention).count() >= 30 && checks.len() >= 38);
}
