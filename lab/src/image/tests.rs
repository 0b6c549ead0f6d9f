use std::fs;

use super::build::build;
use super::containerfile::{Copy, parse};
use super::name::Name;
use super::scratch::Scratch;
use super::store::Store;

#[track_caller]
fn answers(name: &str, registry: Option<&str>, path: &str, tag: &str, expect: bool) {
    let name: Name = name.parse().expect("a name");
    assert_eq!(name.rank(registry, path, tag).is_some(), expect, "{name} for {path}:{tag}");
}

#[test]
fn a_short_name_answers_for_every_registry_and_tag() {
    answers("sart", Some("ghcr.io"), "terassyi/sart", "v0.1", true);
    answers("sart", None, "sart", "latest", true);
    answers("terassyi/sart", Some("ghcr.io"), "terassyi/sart", "dev", true);
    answers("terassyi/sart", Some("ghcr.io"), "other/sart", "dev", false);
    answers("sart", Some("ghcr.io"), "terassyi/sartd", "dev", false);
    answers("coredns:1.15.0", Some("registry.k8s.io"), "coredns/coredns", "1.15.0", true);
    answers("coredns:1.15.0", Some("registry.k8s.io"), "coredns/coredns", "1.14.0", false);
}

#[test]
fn a_full_name_answers_only_for_itself() {
    answers("docker.io/nginx", Some("docker.io"), "library/nginx", "1", true);
    answers("docker.io/nginx", Some("ghcr.io"), "library/nginx", "1", false);
    answers("localhost:5000/a/b:c", Some("localhost:5000"), "a/b", "c", true);
}

#[test]
fn wrong_names_are_refused() {
    for (text, expect) in [
        ("", "has an empty part"),
        ("a//b", "has an empty part"),
        ("a:", "has an empty part"),
        ("Sart", "has the character 'S'"),
        ("a/b c", "has the character ' '"),
        ("a@sha256:0", "holds a digest"),
    ] {
        let error = text.parse::<Name>().expect_err(text);
        assert!(error.to_string().contains(expect), "{text:?}: {error}");
    }
    assert!("x".repeat(256).parse::<Name>().is_err());
}

#[test]
fn a_containerfile_is_read_whole() {
    let file = parse(
        "# ours\nFROM scratch\nCOPY --chmod=0755 a b* \\\n  # inside\n  /bin/\n\
         ENV A=1 B=\"two words\"\nENV A=3\nLABEL l='x y'\nEXPOSE 80 53/udp\nUSER 65535\n\
         ENTRYPOINT [\"/bin/a\"]\nCMD [\"-x\"]\n",
    )
    .expect("a Containerfile");
    let copy = Copy {
        line: 3,
        sources: vec!["a".into(), "b*".into()],
        target: "/bin/".into(),
        chmod: Some(0o755),
    };
    assert_eq!(file.copies, [copy]);
    assert_eq!(file.env, [("B".into(), "two words".into()), ("A".into(), "3".into())]);
    assert_eq!(file.expose, ["80/tcp", "53/udp"]);
    assert_eq!(file.labels["l"], "x y");
    assert_eq!((file.entrypoint, file.cmd), (vec!["/bin/a".into()], vec!["-x".into()]));
    assert_eq!(file.user.as_deref(), Some("65535"));
}

#[test]
fn what_is_not_supported_is_refused_with_its_line() {
    for (text, expect) in [
        ("", "line 1: no FROM scratch"),
        ("FROM debian", "line 1: FROM debian: only FROM scratch"),
        ("COPY a /", "line 1: COPY before FROM scratch"),
        ("FROM scratch\nFROM scratch", "line 2: a second FROM"),
        ("FROM scratch\n\nRUN true", "line 3: RUN is not supported here"),
        ("FROM scratch\nCOPY --from=x a /", "line 2: COPY --from=x is not supported"),
        ("FROM scratch\nCOPY a", "line 2: COPY wants a source and a target"),
        ("FROM scratch\nCOPY a b", "line 2: COPY to \"b\": write the target from /"),
        ("FROM scratch\nCOPY ../a /", "line 2: COPY with .."),
        ("FROM scratch\nCOPY a b /c", "line 2: COPY of several sources"),
        ("FROM scratch\nCMD echo", "line 2: CMD wants a JSON list"),
        ("FROM scratch\nENV A=$B", "line 2: variables ($)"),
        ("FROM scratch\nENV A b", "line 2: ENV wants KEY=value"),
        ("FROM scratch\nENV A=\"b", "line 2: ENV has an open quote"),
        ("FROM scratch\nEXPOSE 99999", "line 2: EXPOSE 99999: not a port"),
        ("FROM scratch\nUSER", "line 2: USER says nothing"),
    ] {
        let error = parse(text).expect_err(text).to_string();
        assert!(error.starts_with(expect), "{text:?}: {error}");
    }
}

#[test]
fn an_image_is_built_twice_with_the_same_digest() {
    let dir = Scratch::new("twice");
    dir.file("context/bin/tool", "#!/bin/sh\n");
    dir.file("context/etc/conf.d/a", "a");
    std::os::unix::fs::symlink("tool", dir.0.join("context/bin/alias")).expect("a link");
    let text = "FROM scratch\nCOPY --chmod=0755 bin/too[l] bin/not-ther[e] /usr/bin/\n\
                COPY etc /etc/\nCOPY bin /b/\nENTRYPOINT [\"/usr/bin/tool\"]\n";
    let store = Store::open(&dir.0.join("store")).expect("a store");
    let name: Name = "tool".parse().expect("a name");
    build(&store, text, &dir.0.join("context"), &name).expect("an image");
    let first = store.list().expect("a list");
    build(&store, text, &dir.0.join("context"), &name).expect("an image");
    assert_eq!(store.list().expect("a list"), first);

    let manifest = store.manifest(&first[0].1).expect("a manifest");
    let mut files = Vec::new();
    for layer in &manifest.layers {
        let blob = store.blob(&layer.digest).expect("a layer");
        assert_eq!(fs::metadata(&blob).expect("a blob").len(), layer.size);
        let mut tar = tar::Archive::new(fs::File::open(blob).expect("a layer"));
        for entry in tar.entries().expect("entries") {
            let entry = entry.expect("an entry");
            let mode = entry.header().mode().expect("a mode");
            files.push(format!("{} {mode:o}", entry.path().expect("a path").display()));
        }
    }
    let expect = [
        "usr/ 755",
        "usr/bin/ 755",
        "usr/bin/tool 755",
        "etc/ 755",
        "etc/conf.d/ 755",
        "etc/conf.d/a 644",
        "b/ 755",
        "b/alias 777",
        "b/tool 644",
    ];
    assert_eq!(files, expect);
    let config = fs::read_to_string(store.blob(&manifest.config.digest).expect("a config"));
    assert!(config.expect("a config").contains(r#""Entrypoint":["/usr/bin/tool"]"#));
}

#[test]
fn a_copy_of_nothing_is_refused() {
    let dir = Scratch::new("nothing");
    let store = Store::open(&dir.0.join("store")).expect("a store");
    for (text, expect) in [
        ("FROM scratch\nCOPY a /", "a is not in the context"),
        ("FROM scratch\nCOPY a* /", "nothing of [\"a*\"] is in the context"),
    ] {
        let error = build(&store, text, &dir.0, &"x".parse().expect("a name")).expect_err(text);
        assert!(format!("{error:#}").contains(expect), "{error:#}");
    }
}

#[test]
fn a_tag_in_a_fork_stays_there_and_the_most_exact_name_wins() {
    let dir = Scratch::new("fork");
    dir.file("a", "1");
    dir.file("b", "2");
    let base = Store::open(&dir.0.join("base")).expect("a store");
    let name = |text: &str| text.parse::<Name>().expect("a name");
    for image in ["a", "b"] {
        let text = format!("FROM scratch\nCOPY {image} /\n");
        build(&base, &text, &dir.0, &name(image)).expect("an image");
    }
    let fork = base.fork(&dir.0.join("fork")).expect("a fork");
    fork.tag(&name("b"), &name("library/a:2")).expect("a tag");
    assert_eq!(base.list().expect("a list").len(), 2);
    let digest = |tag| {
        let found = fork.resolve(Some("docker.io"), "library/a", tag).expect("a store");
        found.expect("an image").digest
    };
    assert_ne!(digest("1"), digest("2"));
    let error = fork.tag(&name("none"), &name("x")).expect_err("no such image");
    assert_eq!(error.to_string(), "no image none; there are: a, b, library/a:2");
    assert!(fork.blob("sha256:../../index.json").is_none());
}
