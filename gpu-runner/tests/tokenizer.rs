use crate::gguf_file::{demo_model, GgufFile, Kv, Temporary};
use gpu_runner::gguf::Gguf;
use gpu_runner::tokenizer::{Chat, Decoder, Message, Tokenizer};
use serde_json::Value;
use std::path::PathBuf;

/// Made by tools/goldens-tokenizer.py with llama.cpp.
fn goldens(name: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("fixtures/tokenizer.json")).unwrap();
    all[name].as_array().unwrap().clone()
}

fn ids(value: &Value) -> Vec<u32> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_u64().unwrap() as u32)
        .collect()
}

fn fixture(name: &str) -> Tokenizer {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/vocab-{name}.gguf"));
    Tokenizer::from_gguf(&Gguf::open(&path).unwrap()).unwrap()
}

fn smollm2(test: &str) -> Option<Tokenizer> {
    let path = demo_model(test)?;
    Some(Tokenizer::from_gguf(&Gguf::open(&path).unwrap()).unwrap())
}

/// Every text has the ids that llama.cpp gives.
fn agree(tokenizer: &Tokenizer, name: &str) {
    let rows = goldens(name);
    assert!(rows.len() >= 40);
    let mut wrong = Vec::new();
    for row in &rows {
        let (text, expected) = (row["text"].as_str().unwrap(), ids(&row["ids"]));
        let found = tokenizer.encode_text(text).unwrap();
        if found != expected {
            wrong.push(format!("{text:?}\n  found    {found:?}\n  expected {expected:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{name}: {} of {} differ\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );
}

#[test]
fn smollm2_ids_agree_with_llama_cpp() {
    let Some(tokenizer) = smollm2("smollm2_ids_agree_with_llama_cpp") else {
        return;
    };
    agree(&tokenizer, "smollm2");
}

#[test]
fn gpt_2_ids_agree_with_llama_cpp() {
    agree(&fixture("gpt2"), "gpt2");
}

#[test]
fn llama_bpe_ids_agree_with_llama_cpp() {
    agree(&fixture("llama3"), "llama3");
}

#[test]
fn qwen2_ids_agree_with_llama_cpp_on_normalized_text() {
    agree(&fixture("qwen2"), "qwen2");
}

#[test]
fn sentencepiece_ids_agree_with_llama_cpp() {
    agree(&fixture("spm"), "spm");
    agree(&fixture("spm-bare"), "spm-bare");
}

#[test]
fn pre_tokenizers_give_different_ids_on_the_same_merges() {
    let fixtures = ["gpt2", "llama3", "qwen2"].map(goldens);
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        let differing = (0..fixtures[a].len())
            .filter(|&i| fixtures[a][i]["ids"] != fixtures[b][i]["ids"])
            .count();
        assert!(differing >= 5, "{differing} texts tell fixture {a} from {b}");
    }
}

#[test]
fn a_long_run_of_whitespace_is_cut_like_a_short_one_and_a_longer_one_is_refused() {
    for name in ["gpt2", "llama3", "qwen2"] {
        let tokenizer = fixture(name);
        let tail = " the 12 345 they're things\n";
        let expected = tokenizer.encode_text(tail).unwrap();
        for space in [" ", "\n", "\t \n"] {
            let run = space.repeat(199_998 / space.len());
            let found = tokenizer.encode_text(&format!("x{run}{tail}")).unwrap();
            assert!(found.ends_with(&expected[1..]), "{name} after a run of {space:?}");
            assert_eq!(tokenizer.decode(&found), format!("x{run}{tail}"));
        }
        let error = tokenizer.encode_text(&" ".repeat(200_001)).unwrap_err();
        assert_eq!(error.kind(), "bad_request");
        assert!(
            error.to_string().contains("200001 whitespace characters in a row"),
            "{error}"
        );
    }
}

#[test]
fn ids_decode_to_their_text() {
    let Some(tokenizer) = smollm2("ids_decode_to_their_text") else {
        return;
    };
    for row in goldens("smollm2") {
        let text = row["text"].as_str().unwrap();
        assert_eq!(tokenizer.decode(&ids(&row["ids"])), text);
    }
    // U+0004 has no token in this vocabulary
    assert_eq!(tokenizer.decode(&tokenizer.encode_text("a\u{4}b").unwrap()), "ab");
    for name in ["gpt2", "llama3", "spm", "spm-bare"] {
        let tokenizer = fixture(name);
        // text behind a user-defined token gets a space of its own in SentencePiece, which decoding keeps
        for row in goldens(name)
            .iter()
            .filter(|row| !row["text"].as_str().unwrap().contains("[INST]"))
        {
            // U+2581 is how SentencePiece writes a space, so it comes back as one
            let text = row["text"].as_str().unwrap();
            let expected = if name.starts_with("spm") {
                text.replace('\u{2581}', " ")
            } else {
                text.to_owned()
            };
            assert_eq!(tokenizer.decode(&ids(&row["ids"])), expected, "{name}");
        }
    }
}

#[test]
fn control_tokens_are_left_out_of_decoded_text() {
    let tokenizer = fixture("gpt2");
    let control = tokenizer.control_id("<|im_end|>").unwrap();
    let mut ids = tokenizer.encode_text("the end").unwrap();
    ids.insert(1, control);
    ids.push(control);
    ids.push(u32::MAX);
    assert_eq!(tokenizer.decode(&ids), "the end");
}

#[test]
fn a_decoder_emits_whole_characters_only_and_all_of_the_text() {
    for name in ["gpt2", "spm"] {
        let tokenizer = fixture(name);
        for row in goldens(name) {
            let ids = ids(&row["ids"]);
            let (mut decoder, mut text) = (Decoder::default(), String::new());
            for &id in &ids {
                decoder.push(&tokenizer, id, &mut text);
                assert!(!text.contains('\u{FFFD}'), "{name}: {text:?}");
            }
            let before = text.clone();
            decoder.finish(&mut text);
            assert_eq!(text, before, "valid text leaves nothing behind");
            assert_eq!(text, tokenizer.decode(&ids));
        }
    }
}

#[test]
fn bytes_that_are_no_utf_8_decode_to_replacement_characters() {
    let tokenizer = fixture("spm");
    let byte = |byte: u8| 3 + byte as u32; // ids of <0x00>… follow <unk>, <s>, </s>
    let decode = |bytes: &[u8]| tokenizer.decode(&bytes.iter().map(|&b| byte(b)).collect::<Vec<_>>());
    for bytes in [
        &b"\xF0\x9F\x98"[..],
        b"a\xFFb",
        b"\xE4\xBD\xA0\xE4\xBD",
        b"\xF0\x9Fx\xC0\xAF",
        b"\xED\xA0\x80",
    ] {
        assert_eq!(decode(bytes), String::from_utf8_lossy(bytes));
    }
}

#[test]
fn control_tokens_in_text_stay_text_and_user_defined_tokens_are_found() {
    let tokenizer = fixture("qwen2");
    let tool = (0..tokenizer.vocab_len() as u32)
        .find(|&id| tokenizer.token_text(id) == Some("<tool_call>"))
        .unwrap();
    let found = tokenizer.encode_text("<tool_call>the<|im_end|>").unwrap();
    assert_eq!(found[0], tool);
    assert!(!found.contains(&tokenizer.control_id("<|im_end|>").unwrap()));
    assert_eq!(tokenizer.decode(&found), "<tool_call>the<|im_end|>");
    // llama.cpp joins pieces to control tokens if their texts happen to fit; a text must not be able to
    let spm = fixture("spm");
    let found = spm.encode_text("<s></s><unk><0x0A>").unwrap();
    assert!(found.iter().all(|&id| id > 2 && id != 3 + 0x0A), "{found:?}");
}

fn message(role: &str, content: &str) -> Message {
    Message {
        role: role.into(),
        content: content.into(),
    }
}

fn messages(value: &Value) -> Vec<Message> {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn smollm2_chats_have_the_text_and_the_ids_of_jinja_and_llama_cpp() {
    let Some(tokenizer) = smollm2("smollm2_chats_have_the_text_and_the_ids_of_jinja_and_llama_cpp") else {
        return;
    };
    let chat = Chat::new(tokenizer.chat_template().unwrap(), None).unwrap();
    let rows = goldens("chats");
    for row in &rows {
        let messages = messages(&row["messages"]);
        assert_eq!(
            tokenizer.render_chat(&chat, &messages).unwrap(),
            row["rendered"].as_str().unwrap()
        );
        assert_eq!(tokenizer.encode_chat(&chat, &messages).unwrap(), ids(&row["ids"]));
    }
    assert_eq!(rows.len(), 5);
    // the file names id 2; llama.cpp also counts <reponame> (4), which ends no turn
    assert_eq!(tokenizer.end_ids(), [0, 2]);
    assert_eq!(goldens("end_ids"), [0, 2, 4]);
    let expected =
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n\
                    <|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(tokenizer.render_chat(&chat, &[Message::user("Hi")]).unwrap(), expected);
}

#[test]
fn control_tokens_that_a_user_writes_reach_the_prompt_as_text() {
    let Some(tokenizer) = smollm2("control_tokens_that_a_user_writes_reach_the_prompt_as_text") else {
        return;
    };
    let chat = Chat::new(tokenizer.chat_template().unwrap(), None).unwrap();
    for row in goldens("hostile") {
        let messages = messages(&row["messages"]);
        assert_eq!(
            tokenizer.encode_chat(&chat, &messages).unwrap(),
            ids(&row["ids"]),
            "{messages:?}"
        );
        let rendered = tokenizer.render_chat(&chat, &messages).unwrap();
        assert!(rendered.contains(&messages[0].content), "the text itself is unchanged");
    }
    // private-use characters of the user's own are kept: the mark is another one
    let own: String = ('\u{f000}'..='\u{f8ff}').collect();
    let text = format!("{own}<|im_end|>");
    let ids = tokenizer.encode_chat(&chat, &[Message::user(&text)]).unwrap();
    assert!(tokenizer.decode(&ids).contains(&text));
    let all: String = ('\u{e000}'..='\u{f8ff}').collect();
    let error = tokenizer.encode_chat(&chat, &[Message::user(all)]).unwrap_err();
    assert_eq!(error.kind(), "template");
}

/// In the style of Llama 3: BOS by name, trimmed contents, a date where one is given.
const HEADERS: &str = r#"{{- bos_token }}
{%- if strftime_now is defined %}
    {%- set today = strftime_now("%d %b %Y") %}
{%- else %}
    {%- set today = "26 Jul 2024" %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system = "" %}
{%- endif %}
{{- "<|head|>system<|/head|>\n\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\n" }}
{%- endif %}
{{- "Today: " + today + "\n\n" + system + "<|im_end|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool') %}
    {{- '<|head|>' + message['role'] + '<|/head|>\n\n'+ message['content'] | trim + '<|im_end|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|head|>assistant<|/head|>\n\n' }}
{%- endif %}
"#;

#[test]
fn a_llama_3_style_template_renders_and_bos_stands_once() {
    let tokenizer = fixture("llama3");
    let talk = [
        message("system", "  Be brief. "),
        message("user", "\nHi there\n"),
        message("assistant", "Hello"),
    ];
    let rendered = tokenizer
        .render_chat(&Chat::new(HEADERS, None).unwrap(), &talk)
        .unwrap();
    let expected = "<|begin|><|head|>system<|/head|>\n\nToday: 26 Jul 2024\n\nBe brief.<|im_end|>\
                    <|head|>user<|/head|>\n\nHi there<|im_end|><|head|>assistant<|/head|>\n\nHello<|im_end|>\
                    <|head|>assistant<|/head|>\n\n";
    assert_eq!(rendered, expected);
    let dated = Chat::new(HEADERS, Some("2026-11-25")).unwrap();
    assert!(tokenizer
        .render_chat(&dated, &talk)
        .unwrap()
        .contains("Today: 25 Nov 2026\n"));
    let ids = tokenizer.encode_chat(&dated, &talk).unwrap();
    let bos = tokenizer.bos().unwrap();
    assert_eq!(ids.iter().filter(|&&id| id == bos).count(), 1);
    assert_eq!(ids[0], bos);
    // a template that does not write BOS gets it, because this vocabulary asks for it
    let bare = Chat::new("{{ messages[0].content }}", None).unwrap();
    let ids = tokenizer.encode_chat(&bare, &[Message::user("the")]).unwrap();
    assert_eq!(ids, [&[bos][..], &tokenizer.encode_text("the").unwrap()].concat());
    assert_eq!(tokenizer.encode_plain("the").unwrap(), ids);
}

/// In the style of Qwen: ChatML, a default system prompt, tools as JSON, thoughts cut out, Python's string methods.
const CHATML: &str = r#"{%- set ns = namespace(last=-1) %}
{%- for message in messages[::-1] %}
    {%- if message.role == 'user' and ns.last < 0 %}{% set ns.last = (messages|length - 1) - loop.index0 %}{% endif %}
{%- endfor %}
{%- if messages[0].role != 'system' %}
    {{- '<|im_start|>system\nYou are helpful.<|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.content is string and message.content.startswith('#skip') %}
        {%- continue %}
    {%- endif %}
    {%- set content = message.content %}
    {%- if '</think>' in content %}
        {%- set content = content.split('</think>')[-1].lstrip('\n') %}
    {%- endif %}
    {{- '<|im_start|>' ~ message.role ~ '\n' ~ content ~ '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
{{- '#' ~ ns.last ~ ({"name": "f", "args": [1, "<é>"], "none": none} | tojson) }}
{%- for c in 'ab'.upper() | list %}{{ c }}{% if loop.last %}.{% else %},{% endif %}{% endfor %}"#;

#[test]
fn a_qwen_style_template_renders_with_python_methods_loop_controls_and_plain_json() {
    let tokenizer = fixture("qwen2");
    let talk = [
        message("user", "one"),
        message("assistant", "<think>hm</think>\n\nanswer"),
        message("user", "#skip this"),
        message("user", "two"),
    ];
    let rendered = tokenizer.render_chat(&Chat::new(CHATML, None).unwrap(), &talk).unwrap();
    let expected = "<|im_start|>system\nYou are helpful.<|im_end|>\n<|im_start|>user\none<|im_end|>\n\
                    <|im_start|>assistant\nanswer<|im_end|>\n<|im_start|>user\ntwo<|im_end|>\n<|im_start|>assistant\n\
                    #3{\"name\": \"f\", \"args\": [1, \"<é>\"], \"none\": null}A,B.";
    assert_eq!(rendered, expected);
}

#[test]
fn blocks_are_trimmed_as_transformers_does() {
    let tokenizer = fixture("gpt2");
    let template = "{% for m in messages %}\n  {% if true %}\n{{ m.role }}:\n  {{ m.content }}\n  {% endif %}\n{% endfor %}\nend\n";
    let rendered = tokenizer
        .render_chat(&Chat::new(template, None).unwrap(), &[Message::user("x")])
        .unwrap();
    // jinja2 3.1.6 with trim_blocks and lstrip_blocks gives this
    assert_eq!(rendered, "user:\n  x\nend");
}

#[test]
fn dates_format_like_strftime() {
    let tokenizer = fixture("gpt2");
    let render = |date: &str, pattern: &str| {
        let chat = Chat::new(&format!("{{{{ strftime_now('{pattern}') }}}}"), Some(date))?;
        tokenizer.render_chat(&chat, &[Message::user("x")])
    };
    // date -d 2024-07-26 +'…' (GNU coreutils, LC_ALL=C)
    let full = "%a %A %d %-d %e %b %B %m %-m %y %Y %j %H:%M:%S %I %p %F %D %T %%";
    let expected = "Fri Friday 26 26 26 Jul July 07 7 24 2024 208 00:00:00 12 AM 2024-07-26 07/26/24 00:00:00 %";
    assert_eq!(render("2024-07-26", full).unwrap(), expected);
    assert_eq!(render("2000-02-29", "%a %j %e").unwrap(), "Tue 060 29");
    assert_eq!(render("1999-12-31", "%A %-j").unwrap(), "Friday 365");
    assert_eq!(render("2026-03-05", "%e|%-d").unwrap(), " 5|5");
    assert!(render("2026-03-05", "%Q").unwrap_err().to_string().contains("%Q"));
    for bad in [
        "2026-13-01",
        "2025-02-29",
        "2026-1-1",
        "today",
        "2026-01-01T00:00",
        "-026-01-01",
    ] {
        let error = render(bad, "%d").unwrap_err();
        assert_eq!(error.kind(), "bad_request");
        assert!(error.to_string().contains(bad));
    }
}

#[test]
fn a_template_can_refuse_and_its_reason_is_told() {
    let tokenizer = fixture("gpt2");
    let template = "{% if messages|length % 2 == 0 %}{{ raise_exception('roles must alternate') }}{% endif %}ok";
    let chat = Chat::new(template, None).unwrap();
    assert_eq!(tokenizer.render_chat(&chat, &[Message::user("x")]).unwrap(), "ok");
    let error = tokenizer
        .encode_chat(&chat, &[Message::user("x"), Message::user("y")])
        .unwrap_err();
    assert_eq!(error.kind(), "template");
    assert!(error.to_string().contains("roles must alternate"), "{error}");
    let error = Chat::new("{% if %}", None).unwrap_err();
    assert_eq!(error.kind(), "template");
    let error = tokenizer
        .render_chat(&Chat::new("{{ strftime_now('%d') }}", None).unwrap(), &[])
        .unwrap_err();
    assert_eq!(error.kind(), "template");
}

#[test]
fn hostile_templates_end_with_an_error_within_a_budget() {
    let tokenizer = fixture("gpt2");
    let deep_call = format!("{}1{}", "(".repeat(100_000), ")".repeat(100_000));
    let deep_list = "{{ ".to_owned() + &"[".repeat(100_000);
    let deep_blocks = "{% if true %}".repeat(100_000);
    let hostile = [
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{% set ns = namespace(s='xxxxxxxx') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
        "{% set ns = namespace(s='xxxxxxxx') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}",
        "{{ 'x' * 99999999 * 99999999 }}",
        "{% for a in range(99999) %}{{ 'x' * 1000000 }}{% endfor %}",
        "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
        "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(0) }}",
        "{{ range(1000000000) | list }}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l | tojson }}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}",
        "{% set ns = namespace(l=[1]) %}{% for j in range(1000) %}{% for i in range(10000) %}{% set ns.l = [ns.l] %}{% endfor %}{% endfor %}",
        "{{ ('a,' * 9999999).replace('a', 'b' * 9999) }}",
        "{{ 'x' | indent(99999999999) }}{{ '%99999999999d' | format(3) }}",
        "{{ 10 ** 99999999 }}",
        "{{ messages | tojson(indent=999999999999) }}{% include 'x' %}",
        &format!("{{{{ {deep_call} }}}}"),
        &deep_list,
        &deep_blocks,
    ];
    for template in hostile {
        let start = std::time::Instant::now();
        let error = Chat::new(template, None).and_then(|chat| tokenizer.encode_chat(&chat, &[Message::user("x")]));
        let name = &template[..template.len().min(80)];
        assert_eq!(error.expect_err(name).kind(), "template", "{name}");
        assert!(start.elapsed().as_secs() < 5, "{name}: {:?}", start.elapsed());
    }
}

#[test]
fn deeply_nested_values_of_a_template_do_not_overflow_the_stack() {
    let tokenizer = fixture("gpt2");
    let nest =
        "{% set ns = namespace(l=[1]) %}{% for j in range(3) %}{% for i in range(50000) %}{% set ns.l = [ns.l] %}\
                {% endfor %}{% endfor %}";
    for last in [
        "{{ ns.l }}",
        "{{ ns.l | tojson }}",
        "{{ ns.l ~ 'x' }}",
        "{{ ns.l == [ns.l] }}",
    ] {
        let chat = Chat::new(&format!("{nest}{last}"), None).unwrap();
        // all that matters is that an answer comes
        let _ = tokenizer.render_chat(&chat, &[Message::user("x")]);
    }
}

#[test]
fn a_long_prompt_fits_the_budget_of_a_template() {
    let tokenizer = fixture("gpt2");
    let chat = Chat::new(CHATML, None).unwrap();
    let long = "word ".repeat(8 << 18);
    let rendered = tokenizer.render_chat(&chat, &[Message::user(&long)]).unwrap();
    assert!(rendered.contains(&long));
}

#[test]
fn a_wrap_is_the_prompt_in_parts() {
    let Some(tokenizer) = smollm2("a_wrap_is_the_prompt_in_parts") else {
        return;
    };
    let chat = Chat::new(tokenizer.chat_template().unwrap(), None).unwrap();
    let talk = [
        message("user", "first"),
        message("assistant", "yes"),
        message("user", "Which of them is red?"),
    ];
    let wrap = tokenizer.wrap_chat(&chat, &talk).unwrap();
    assert_eq!(tokenizer.decode(&wrap.user), "Which of them is red?");
    assert_eq!(wrap.user, tokenizer.encode_text("Which of them is red?").unwrap());
    assert_eq!(wrap.join(), tokenizer.encode_chat(&chat, &talk).unwrap());
    assert!(tokenizer.decode(&wrap.prefix).ends_with("user\n"));
    assert_eq!(tokenizer.decode(&wrap.suffix), "\nassistant\n");
    // hostile text stays text in the middle part, too
    let wrap = tokenizer.wrap_chat(&chat, &[Message::user("a<|im_end|>b")]).unwrap();
    assert_eq!(tokenizer.decode(&wrap.user), "a<|im_end|>b");
}

#[test]
fn a_wrap_holds_what_a_trimming_template_makes_of_the_text() {
    let tokenizer = fixture("llama3");
    let chat = Chat::new(HEADERS, None).unwrap();
    let wrap = tokenizer.wrap_chat(&chat, &[Message::user("  the things \n")]).unwrap();
    assert_eq!(tokenizer.decode(&wrap.user), "the things");
    assert_eq!(wrap.prefix[0], tokenizer.bos().unwrap());
    for (template, why) in [
        ("{{ messages[0].content }}{{ messages[0].content }}", "exactly once"),
        ("fixed", "exactly once"),
        (
            "{{ messages[0].content|length }}{{ messages[0].content }}",
            "changes its own text",
        ),
    ] {
        let error = tokenizer
            .wrap_chat(&Chat::new(template, None).unwrap(), &[Message::user("long text")])
            .unwrap_err();
        assert_eq!(error.kind(), "template");
        assert!(error.to_string().contains(why), "{error}");
    }
    assert!(tokenizer
        .wrap_chat(&chat, &[message("system", "x")])
        .unwrap_err()
        .to_string()
        .contains("no user message"));
}

#[test]
fn a_sentencepiece_prompt_puts_the_space_where_a_segment_begins() {
    let tokenizer = fixture("spm");
    let chat = Chat::new("<s>[INST] {{ messages[0].content }} [/INST]", None).unwrap();
    let wrap = tokenizer.wrap_chat(&chat, &[Message::user("the theme")]).unwrap();
    // text behind a token begins a segment; the user's text stands inside one, so it gets no space of its own
    assert_eq!(wrap.user, tokenizer.encode_continuation("the theme").unwrap());
    assert_ne!(wrap.user, tokenizer.encode_text("the theme").unwrap());
    let plain = tokenizer.wrap_plain("the theme").unwrap();
    assert_eq!((plain.prefix, plain.suffix), (vec![1], vec![]));
    assert_eq!(plain.user, tokenizer.encode_text("the theme").unwrap());
}

#[test]
fn the_middle_is_cut_out_as_the_design_says() {
    let wrap = gpu_runner::tokenizer::Wrap {
        prefix: vec![90, 91],
        user: (0..10).collect(),
        suffix: vec![99],
    };
    assert_eq!(wrap.cut_middle(13).unwrap(), wrap.join());
    // P = 7: the first 4 and the last 3
    assert_eq!(wrap.cut_middle(10).unwrap(), [90, 91, 0, 1, 2, 3, 7, 8, 9, 99]);
    assert_eq!(wrap.cut_middle(9).unwrap(), [90, 91, 0, 1, 2, 7, 8, 9, 99]);
    assert_eq!(wrap.cut_middle(4).unwrap(), [90, 91, 0, 99]);
    assert_eq!(wrap.cut_middle(3), None);
    assert_eq!(wrap.cut_middle(0), None);
}

/// A byte-level vocabulary of the 256 bytes and some more tokens, without merges.
fn vocabulary(change: impl FnOnce(&mut Vec<(String, Kv)>)) -> Result<Tokenizer, gpu_runner::Error> {
    let printable = |c: u32| matches!(c, 33..=126 | 161..=172 | 174..=255);
    let others = (0..256u32)
        .filter(|&c| !printable(c))
        .enumerate()
        .map(|(i, _)| 256 + i as u32);
    let mut tokens: Vec<String> = (0..256)
        .filter(|&c| printable(c))
        .chain(others)
        .map(|c| char::from_u32(c).unwrap().to_string())
        .collect();
    tokens.extend(["<|end|>", "th"].map(String::from));
    let mut types = vec![1; 258];
    types[256] = 3;
    let mut kv = vec![
        ("tokenizer.ggml.model".to_string(), Kv::Str("gpt2".into())),
        ("tokenizer.ggml.pre".to_string(), Kv::Str("gpt-2".into())),
        ("tokenizer.ggml.tokens".to_string(), Kv::Strs(tokens)),
        ("tokenizer.ggml.token_type".to_string(), Kv::I32s(types)),
        ("tokenizer.ggml.merges".to_string(), Kv::Strs(vec!["t h".into()])),
        ("tokenizer.ggml.eos_token_id".to_string(), Kv::U32(5)),
    ];
    change(&mut kv);
    let file = Temporary::new(
        &GgufFile {
            kv,
            tensors: vec![],
            version: 3,
            alignment: 32,
        }
        .bytes(),
    );
    Tokenizer::from_gguf(&Gguf::open(&file.0).unwrap())
}

#[test]
fn end_ids_are_those_of_the_file_and_known_control_tokens() {
    assert_eq!(vocabulary(|_| ()).unwrap().end_ids(), [5, 256]);
    let with_turns = vocabulary(|kv| {
        kv.push(("tokenizer.ggml.eot_token_id".into(), Kv::U32(9)));
        kv.push(("tokenizer.ggml.eom_token_id".into(), Kv::U32(7)));
        kv[3].1 = Kv::I32s(vec![1; 258]); // <|end|> is no control token here
    });
    assert_eq!(with_turns.unwrap().end_ids(), [5, 7, 9]);
}

#[test]
fn vocabularies_that_do_not_fit_are_refused_with_the_reason() {
    type Change = Box<dyn FnOnce(&mut Vec<(String, Kv)>)>;
    let set = |at: usize, value: Kv| -> Change { Box::new(move |kv| kv[at].1 = value) };
    let add = |key: &'static str, value: Kv| -> Change { Box::new(move |kv| kv.push((key.into(), value))) };
    let cases: Vec<(Change, &str, &str)> = vec![
        (set(0, Kv::Str("bert".into())), "unsupported", "vocabulary kind bert"),
        (
            set(1, Kv::Str("tekken".into())),
            "unsupported",
            "pre-tokenizer tekken is unknown",
        ),
        (
            Box::new(|kv| drop(kv.remove(1))),
            "unsupported",
            "tokenizer.ggml.pre is missing",
        ),
        (
            Box::new(|kv| drop(kv.remove(2))),
            "model_file",
            "tokenizer.ggml.tokens is missing",
        ),
        (
            set(2, Kv::Strs(vec![])),
            "model_file",
            "tokenizer.ggml.tokens has 0 entries",
        ),
        (set(3, Kv::I32s(vec![1; 3])), "model_file", "3 entries for 258 tokens"),
        (set(3, Kv::I32s(vec![7; 258])), "model_file", "token 0 is 7"),
        (set(4, Kv::Strs(vec!["th".into()])), "model_file", "is no pair"),
        (
            set(4, Kv::Strs(vec!["t x".into()])),
            "model_file",
            "needs the token \"tx\"",
        ),
        (set(4, Kv::Strs(vec!["t < |end|>".into()])), "model_file", "merge 0"),
        (
            set(5, Kv::U32(258)),
            "model_file",
            "eos_token_id is 258, the vocabulary has 258 tokens",
        ),
        (
            add("tokenizer.ggml.add_bos_token", Kv::Bool(true)),
            "model_file",
            "bos_token_id is missing",
        ),
        (
            set(2, Kv::Strs(vec!["a".into(); 258])),
            "model_file",
            "tokens 0 and 1 are both \"a\"",
        ),
        (set(0, Kv::Str("llama".into())), "model_file", "bos"),
    ];
    for (change, kind, text) in cases {
        let error = vocabulary(change).map(|_| ()).expect_err(text);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(text), "{error} should say {text}");
    }
}
