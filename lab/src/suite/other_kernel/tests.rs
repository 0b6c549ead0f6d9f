#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn the_programs_of_tests_are_found_in_what_cargo_says() {
    let artifact = |package: &str, name: &str, test: bool| {
        format!(
            r#"{{"reason":"compiler-artifact","manifest_path":"/r/{package}/Cargo.toml","target":{{"name":"{name}"}},"profile":{{"test":{test}}},"executable":"/t/{name}"}}"#
        )
    };
    let all = [
        artifact("io/kernel", "kernel", true),
        artifact("io/sockets", "keys", true),
        artifact("programs/sartd", "sartd", false),
        artifact("programs/sartd", "operating", true),
        artifact("pure/inet", "inet", true),
        r#"{"reason":"build-finished","success":true}"#.to_owned(),
        artifact("programs/sartd", "router", true),
    ];
    let chosen = |lines: &[String]| super::chosen(Path::new("/r"), &lines.join("\n"));
    let programs = chosen(&all).unwrap();
    let names: Vec<&str> = programs.iter().map(|program| program.name.as_str()).collect();
    assert_eq!(names, ["kernel-kernel", "sartd-router", "sockets-keys"]);
    assert_eq!(programs[1].arguments[0], "places::");
    assert_eq!(programs[2].folder, Path::new("/r/io/sockets"));
    let without = chosen(&all[..6]).unwrap_err().to_string();
    assert_eq!(without, "cargo built no test of programs/sartd that is run there");
}

#[test]
fn a_job_keeps_output_and_status_of_each_program() {
    let program = Program {
        name: "a-b".into(),
        folder: "/it's".into(),
        path: "/t/b".into(),
        arguments: &["x::", "--y"],
    };
    let expect = "touch /run/shared/began\n\
        (cd '/it'\\''s' && '/t/b' x:: --y) >/run/shared/a-b.log 2>&1\n\
        echo $? >/run/shared/a-b.status\n";
    assert_eq!(job(&[program]), expect);
}

#[test]
fn what_the_kernel_is_said_to_lack_fails_there() {
    let text = "SKIPPED: one: this kernel has no VRF (CONFIG_NET_VRF)\n\
        test one ... ok\ntest two ... ok\nSKIPPED: three: no `unshare` here\ntest three ... ok\n";
    let counted = judged(Counted::read(text));
    assert_eq!(counted.passed, ["two"]);
    let failed = ["one (this kernel has no VRF (CONFIG_NET_VRF))", "three (no `unshare` here)"];
    assert_eq!(counted.failed, failed);
    assert!(counted.skipped.is_empty());
}

#[test]
fn a_program_that_crashed_or_never_ended_is_no_success() {
    let folder = std::env::temp_dir().join(format!("sart-other-kernel-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let program =
        Program { name: "a".into(), folder: "/".into(), path: "/t/a".into(), arguments: &[] };
    let add = || {
        let mut counted = Counted::default();
        add(&mut counted, &folder, &program).map(|()| counted).map_err(|error| error.to_string())
    };
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    assert!(add().unwrap_err().contains("a has not ended"));
    write("a.log", "test one ... ok\n");
    write("a.status", "139\n");
    assert!(add().unwrap_err().contains("a ended with 139"));
    write("a.status", "0\n");
    assert_eq!(add().unwrap().passed, ["one"]);
    write("a.log", "running 0 tests\n");
    assert!(add().unwrap_err().contains("ran no test"));
    write("a.log", "test one ... FAILED\n");
    write("a.status", "101\n");
    assert_eq!(add().unwrap().failed, ["one"]);
    fs::remove_dir_all(&folder).unwrap();
}
