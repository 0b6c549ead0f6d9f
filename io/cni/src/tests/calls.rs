use super::*;

/// Runs a call that must be refused, and compares code and sentence.
fn refuse(env: &[(&str, &str)], stdin: &str, code: u32, text: &str) {
    let (stdout, success) = call(env, stdin, |call| panic!("handled: {call:?}"));
    let error = stdout.unwrap();
    assert!(!success);
    assert_eq!(error["code"], json!(code), "{error}");
    let message = error["msg"].as_str().unwrap();
    assert!(message.contains(text), "{message:?} lacks {text:?}");
    assert!(Version::from_text(error["cniVersion"].as_str().unwrap()).is_some(), "{error}");
}

fn with<'a>(name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut env = env("ADD");
    env.retain(|(key, _)| *key != name);
    env.push((name, value));
    env
}

#[test]
fn a_call_is_parsed_and_its_arguments_found() {
    let stdin = config(
        "1.0.0",
        json!({"runtimeConfig": {"io.kubernetes.cri.pod-annotations": {"a/b": "c"}}}),
    );
    let (stdout, success) = call(&env("ADD"), &stdin, |call| {
        let Call::Add { attachment, netns } = call else { panic!("{call:?}") };
        assert_eq!(netns.to_str(), Some("/run/netns/x"));
        assert_eq!(attachment.container_id, "abc.1_2-3");
        assert_eq!(attachment.ifname, "eth0");
        assert_eq!(attachment.arg("K8S_POD_NAME"), Some("a"));
        assert_eq!(attachment.arg("K8S_POD_UID"), None, "empty is absent");
        assert_eq!(attachment.config.name, "net");
        let annotations = attachment.config.capability("io.kubernetes.cri.pod-annotations");
        assert_eq!(annotations, Some(&json!({"a/b": "c"})));
        assert_eq!(attachment.config.previous(), Ok(None));
        Ok(Answer::Done)
    });
    assert_eq!((stdout, success), (None, true));
}

#[test]
fn del_needs_no_namespace_and_trusts_no_previous_result() {
    for netns in ["", "/run/netns/gone"] {
        let mut env = with("CNI_NETNS", netns);
        env[0] = ("CNI_COMMAND", "DEL");
        env.retain(|(k, v)| *k != "CNI_COMMAND" || *v == "DEL");
        let stdin = config("1.0.0", json!({"prevResult": {"ips": "nonsense"}}));
        let (_, success) = call(&env, &stdin, |call| {
            let Call::Del { netns: parsed, .. } = call else { panic!("{call:?}") };
            assert_eq!(parsed.is_some(), !netns.is_empty());
            Ok(Answer::Done)
        });
        assert!(success);
    }
}

#[test]
fn check_needs_the_previous_result() {
    refuse(&env("CHECK"), &config("1.0.0", json!({})), 7, "CHECK needs prevResult");
    let bad = config("1.0.0", json!({"prevResult": {"ips": [{"address": "10.0.0.1/33"}]}}));
    refuse(&env("CHECK"), &bad, 6, "10.0.0.1/33");
    let good = config(
        "0.4.0",
        json!({"prevResult": {"cniVersion": "0.4.0", "ips": [{"version": "4", "address": "10.0.0.1/32"}]}}),
    );
    let (_, success) = call(&env("CHECK"), &good, |call| {
        let Call::Check { previous, .. } = call else { panic!("{call:?}") };
        assert_eq!(previous.ips[0].address.to_string(), "10.0.0.1/32");
        Ok(Answer::Done)
    });
    assert!(success);
}

#[test]
fn gc_and_status_need_no_container() {
    let bare = |command| vec![("CNI_COMMAND", command)];
    let stdin = config(
        "1.1.0",
        json!({"cni.dev/valid-attachments": [{"containerID": "c", "ifname": "eth0"}]}),
    );
    let (_, success) = call(&bare("GC"), &stdin, |call| {
        let Call::Gc { valid, .. } = call else { panic!("{call:?}") };
        assert_eq!(valid, [ValidAttachment { container_id: "c".into(), ifname: "eth0".into() }]);
        Ok(Answer::Done)
    });
    assert!(success);
    let (_, success) = call(&bare("STATUS"), &stdin, |call| {
        assert!(matches!(call, Call::Status { .. }));
        Ok(Answer::Done)
    });
    assert!(success);
    let bad = config("1.1.0", json!({"cni.dev/valid-attachments": [{"ifname": "eth0"}]}));
    refuse(&bare("GC"), &bad, 7, "containerID");
}

#[test]
fn a_command_before_its_version_is_refused() {
    refuse(&env("CHECK"), &config("0.3.1", json!({"prevResult": {}})), 1, "since CNI 0.4.0");
    refuse(&env("STATUS"), &config("1.0.0", json!({})), 1, "since CNI 1.1.0");
    refuse(&env("GC"), &config("1.0.0", json!({})), 1, "since CNI 1.1.0");
}

#[test]
fn a_bad_environment_is_refused_with_the_variable_named() {
    let stdin = config("1.1.0", json!({}));
    refuse(&[], &stdin, 4, "CNI_COMMAND is missing");
    refuse(&with("CNI_COMMAND", "add"), &stdin, 4, "\"add\" is none of");
    for name in ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"] {
        refuse(&with(name, ""), &stdin, 4, &format!("{name} is missing"));
    }
    for id in ["-a", "a/b", "ä", "a b"] {
        refuse(&with("CNI_CONTAINERID", id), &stdin, 4, "CNI_CONTAINERID");
    }
    for ifname in ["..", "a/b", "a:b", "a b", "sixteen-letters-"] {
        refuse(&with("CNI_IFNAME", ifname), &stdin, 4, "CNI_IFNAME");
    }
    for args in ["a", "=b", "a=b;c"] {
        refuse(&with("CNI_ARGS", args), &stdin, 4, "CNI_ARGS");
    }
}

#[test]
fn a_bad_configuration_is_refused_with_its_fault_named() {
    let check = |stdin: &str, code: u32, text: &str| refuse(&env("ADD"), stdin, code, text);
    check("hello", 6, "the network configuration is no JSON: expected value at line 1");
    check("", 6, "no JSON");
    check("[]", 6, "no JSON object");
    check("{}", 1, "CNI version \"0.1.0\" is not supported");
    check(r#"{"cniVersion": "2.0.0", "name": "n"}"#, 1, "\"2.0.0\"");
    check(r#"{"cniVersion": 1, "name": "n"}"#, 6, "cniVersion is no string");
    check(r#"{"cniVersion": "1.0.0"}"#, 7, "has no name");
    check(r#"{"cniVersion": "1.0.0", "name": "a b"}"#, 7, "\"a b\"");
    check(r#"{"cniVersion": "1.0.0", "name": 5}"#, 7, "no string");
}

#[test]
fn version_is_answered_without_the_plugin() {
    let check = |stdin: &str, version: &str| {
        let handler = |call| panic!("handled: {call:?}");
        let (stdout, success) = call(&[("CNI_COMMAND", "VERSION")], stdin, handler);
        let supported = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"];
        assert_eq!(stdout, Some(json!({"cniVersion": version, "supportedVersions": supported})),);
        assert!(success);
    };
    check(r#"{"cniVersion": "0.4.0"}"#, "0.4.0");
    check(r#"{"cniVersion": "9.9.9"}"#, "1.1.0");
    check("", "1.1.0");
    refuse(&[("CNI_COMMAND", "VERSION")], "{", 6, "no JSON");
}

#[test]
fn an_error_of_the_plugin_keeps_its_code_and_the_callers_version() {
    let (stdout, success) = call(&env("ADD"), &config("0.4.0", json!({})), |_| {
        Err(Error::new(ErrorCode::TryAgainLater, "later").with_details("why"))
    });
    let expect = json!({"cniVersion": "0.4.0", "code": 11, "msg": "later", "details": "why"});
    assert_eq!((stdout, success), (Some(expect), false));
}

#[test]
fn codes_and_their_numbers_are_inverse() {
    for code in (0..130).chain([u32::MAX]) {
        assert_eq!(ErrorCode::from(code).get(), code);
    }
}
