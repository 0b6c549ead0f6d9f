//! `docs/api.md` lists the calls of both services, each once, and whether it needs the token.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The first word of what follows, of letters alone.
fn word(text: &str) -> &str {
    text.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default()
}

/// Calls as `Service.Call` of a definition, and whether each is a change. That a call's name tells is
/// what the guard goes by.
fn calls(definition: &str, calls: &mut BTreeMap<String, bool>) {
    let mut service = "";
    let text = read(definition);
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("service ") {
            service = word(name);
        }
        if let Some(call) = line.trim_start().strip_prefix("rpc ") {
            let call = word(call);
            let reads = ["Get", "List", "Explain", "Watch"].iter().any(|r| call.starts_with(r));
            calls.insert(format!("{service}.{call}"), !reads);
        }
    }
}

#[test]
fn the_page_has_each_call() {
    let mut served = BTreeMap::new();
    calls("proto/sart/v1/router.proto", &mut served);
    calls("proto/sart/v1/fib.proto", &mut served);
    assert!(served.len() > 15, "{served:?}");
    let mut listed = BTreeMap::new();
    for line in read("../../docs/api.md").lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, call, token @ ("yes" | "no"), what, _] = cells[..] else { continue };
        assert!(what.len() > 10, "{call}");
        let before = listed.insert(call.trim_matches('`').to_owned(), token == "yes");
        assert!(before.is_none(), "{call} stands twice");
    }
    assert_eq!(listed, served);
}

#[test]
fn the_page_has_what_is_true_of_the_servers() {
    let page = read("../../docs/api.md");
    for place in [
        node_api::DEFAULT_SOCKET,
        node_api::DEFAULT_TCP,
        node_api::DEFAULT_FIB_SOCKET,
        node_api::DEFAULT_FIB_TCP,
    ] {
        assert!(page.contains(place), "{place}");
    }
    assert!(node_api::Token::new("0123456789abcde").is_err());
    assert!(node_api::Token::new("0123456789abcdef").is_ok() && page.contains("at least 16"));
}

/// The definitions' messages with the types of their fields, and the calls with their requests.
#[derive(Default)]
struct Api {
    messages: BTreeMap<String, BTreeMap<String, String>>,
    requests: BTreeMap<String, String>,
}

impl Api {
    fn read() -> Api {
        let mut api = Api::default();
        for definition in ["proto/sart/v1/router.proto", "proto/sart/v1/fib.proto"] {
            let (mut service, mut message) = (String::new(), String::new());
            for line in read(definition).lines().map(str::trim) {
                if let Some(name) = line.strip_prefix("service ") {
                    service = format!("sart.v1.{}", word(name));
                } else if let Some(call) = line.strip_prefix("rpc ") {
                    let request = word(call.split('(').nth(1).unwrap());
                    api.requests.insert(format!("{service}/{}", word(call)), request.to_owned());
                } else if let Some(name) = line.strip_prefix("message ") {
                    message = word(name).to_owned();
                    api.messages.entry(message.clone()).or_default();
                } else if let Some((field, number)) = line.split_once(" = ")
                    && !line.starts_with("//")
                    && number.ends_with(';')
                    && let Some((of, name)) = field.rsplit_once(' ')
                    && let Some(fields) = api.messages.get_mut(&message)
                {
                    let of = of.rsplit(' ').next().unwrap();
                    fields.insert(name.to_owned(), of.to_owned());
                }
            }
        }
        api
    }

    /// The type of a message's field.
    fn field(&self, message: &str, field: &str) -> &str {
        let of = self.messages.get(message).and_then(|fields| fields.get(field));
        of.unwrap_or_else(|| panic!("there is no {message}.{field}"))
    }

    /// Checks that a value's keys are fields, and theirs in turn.
    fn check(&self, message: &str, value: &serde_json::Value) {
        match value {
            serde_json::Value::Object(keys) => {
                for (key, value) in keys {
                    self.check(self.field(message, key), value);
                }
            }
            serde_json::Value::Array(all) => all.iter().for_each(|one| self.check(message, one)),
            _ => assert!(!self.messages.contains_key(message), "{value} is no {message}"),
        }
    }
}

/// The page's examples in a language.
fn examples(language: &str) -> Vec<String> {
    let page = read("../../docs/api.md");
    let begin = format!("```{language}\n");
    let blocks = page.split(&begin).skip(1).map(|rest| rest.split("\n```").next().unwrap());
    blocks.map(str::to_owned).collect()
}

#[test]
fn the_examples_call_what_there_is() {
    let api = Api::read();
    let (mut calls, mut values) = (0, 0);
    for line in examples("sh").iter().flat_map(|block| block.split("grpcurl ").skip(1)) {
        for name in line.split_whitespace().filter(|word| word.starts_with("sart.v1.")) {
            let request = api.requests.get(name).unwrap_or_else(|| panic!("there is no {name}"));
            calls += 1;
            if let Some(json) = line.split("-d '").nth(1) {
                let value = serde_json::from_str(json.split('\'').next().unwrap()).unwrap();
                api.check(request, &value);
                values += 1;
            }
        }
    }
    assert!(calls >= 4 && values >= 3, "{calls} calls with {values} values were read");
}

#[test]
fn the_python_example_has_the_fields_of_its_messages() {
    let api = Api::read();
    let mut fields = 0;
    for block in examples("python") {
        for call in block.split("v1.").skip(1) {
            let Some((message, rest)) = call.split_once('(') else { continue };
            let mut depth = 0;
            let mut top = String::new();
            for c in rest.chars() {
                match c {
                    '(' | '[' => depth += 1,
                    ')' | ']' if depth == 0 => break,
                    ')' | ']' => depth -= 1,
                    c if depth == 0 => top.push(c),
                    _ => {}
                }
            }
            for (name, _) in top.split(',').filter_map(|field| field.split_once('=')) {
                api.field(message, name.trim());
                fields += 1;
            }
        }
        for call in block.split(" fib.").skip(1).filter_map(|call| call.split_once('(')) {
            assert!(api.requests.contains_key(&format!("sart.v1.Fib/{}", call.0)), "{}", call.0);
        }
    }
    assert!(fields >= 5, "{fields} were read");
}
