use crate::tokenizer::{fixture, goldens, ids, smollm2};
use gpu_runner::tokenizer::{Chat, Message};
use serde_json::Value;

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
        assert!(start.elapsed().as_secs() < 15, "{name}: {:?}", start.elapsed());
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
