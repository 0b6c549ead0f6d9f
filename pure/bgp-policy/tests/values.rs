//! The values of the language: their texts, and what they match.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use bgp_packet::{AsPath, Segment};
use bgp_policy::{
    CommunityKind, CommunityPattern, ExtendedPattern, PathPattern, PrefixRange, PrefixSet,
};
use inet::Prefix;

#[test]
fn patterns_of_paths_match() {
    let path = |text: &str| {
        let mut segments = Vec::new();
        for word in text.split_whitespace() {
            match word.strip_prefix('{') {
                Some(set) => {
                    let numbers = set.trim_end_matches('}').split(',');
                    segments.push(Segment::Set(numbers.map(|n| n.parse().unwrap()).collect()));
                }
                None => match segments.last_mut() {
                    Some(Segment::Sequence(numbers)) => numbers.push(word.parse().unwrap()),
                    Some(Segment::Set(_)) | None => {
                        segments.push(Segment::Sequence(vec![word.parse().unwrap()]));
                    }
                },
            }
        }
        AsPath { segments }
    };
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("^65001 .* 65002$", &["65001 65002", "65001 7 8 65002"], &["65001", "1 65001 65002", ""]),
        ("65001", &["65001", "1 65001 2"], &["", "650011", "6500 1"]),
        ("^$", &[""], &["1"]),
        (".*", &["", "1 2 3"], &[]),
        ("^.$", &["1", "{1,2}"], &["", "1 1"]),
        ("^1+$", &["1", "1 1 1"], &["", "1 2", "2 1"]),
        ("^1? 2$", &["2", "1 2"], &["1", "1 1 2"]),
        ("^(1|2 3)* 4$", &["4", "1 4", "2 3 1 2 3 4"], &["2 4", "3 4", "1"]),
        ("^[64512-65534 7]$", &["64512", "65000", "7"], &["65535", "8", "7 7"]),
        ("^1 | 2$", &["1 9", "9 2"], &["9 1", "2 9", ""]),
        ("^1 2$", &["{1,5} 2", "1 {2,3}"], &["{1,2}", "{3} 2"]),
        ("_65001_", &["65001", "1 65001"], &["1"]),
        ("^()$", &[""], &["1"]),
        ("^(1? 2?)+$", &["", "1 2 1", "2 2"], &["3"]),
        ("^(1 (2 | 3))?$", &["", "1 2", "1 3"], &["1", "2"]),
    ];
    for (pattern, yes, no) in cases {
        let compiled: PathPattern = pattern.parse().unwrap();
        for text in *yes {
            assert!(compiled.matches(&path(text)), "{pattern} on {text}");
        }
        for text in *no {
            assert!(!compiled.matches(&path(text)), "{pattern} on {text}");
        }
        assert_eq!(compiled.to_string(), *pattern);
    }
    // What makes a back-tracking matcher take ages.
    let hard: PathPattern = "^(1* 1*)* (1|1 1)* 2$".parse().unwrap();
    let ones = AsPath { segments: vec![Segment::Sequence(vec![1; 255]); 40] };
    assert!(!hard.matches(&ones));
}

#[test]
fn texts_that_are_no_values_are_refused() {
    let path = |text: &str| text.parse::<PathPattern>().map_err(|e| e.to_string());
    for (text, at) in [
        ("", "character 1: it is empty"),
        ("1 ^", "character 3: `^` stands at the beginning"),
        ("(^1)", "character 2: `^` stands at the beginning"),
        ("1$ 2", "character 4: nothing may follow `$`"),
        ("(1$)", "character 3: a bracket is not closed"),
        ("(1", "character 3: a bracket is not closed"),
        ("1)", "character 2: this bracket was not opened"),
        ("* 1", "character 1: there is nothing to repeat"),
        ("1 *", "character 3: there is nothing to repeat"),
        ("a", "character 1: 'a' has no meaning"),
        ("[0-9]+", "character 5: ranges are of AS numbers"),
        ("[5-3]", "character 5: the range ends before it begins"),
        ("[", "character 2: `[` is not closed"),
        ("[]", "character 2: a number or a range"),
        ("4294967296", "character 10: the number is over"),
        ("1.5", "character 2: write AS numbers without a dot"),
    ] {
        let error = path(text).unwrap_err();
        assert!(error.contains(at), "{text}: {error}");
    }
    assert!(path(&". ".repeat(252)).is_ok());
    assert!(path(&". ".repeat(260)).unwrap_err().contains("more than 254"));
    assert!(path(&"(".repeat(10_000)).unwrap_err().contains("too many brackets"));
    for text in [
        "10.0.0.0/8 le",
        "10.0.0.0/8 le 33",
        "10.0.0.0/8 ge 7",
        "10.0.0.0/8 ge 9 ge 9",
        "10.0.0.1/8",
        "x",
        "",
    ] {
        assert!(text.parse::<PrefixRange>().is_err(), "{text}");
    }
    for text in [
        "1",
        "1:2:3:4",
        "1:70000",
        "70000:1",
        "1:-1",
        "1:+1",
        "a:1",
        "1:9-3",
        "rt:1",
        "rt:1:*:2",
        "raw:",
        "raw:zz*",
        "bandwidth:1:-5",
        "bandwidth:70000:1",
        "bandwidth:*:1-5",
        "soo:a:1",
    ] {
        assert!(text.parse::<CommunityPattern>().is_err(), "{text}");
    }
}

#[test]
fn communities_are_written_as_they_are_read() {
    for text in [
        "rt:65000:100",
        "rt:65000:4294967295",
        "rt:4200000000:7",
        "rt:10.0.0.1:100",
        "soo:65000:1",
        "bandwidth:65000:125000000",
        "raw:0102030405060708",
        "raw:0002000000000000",
    ] {
        let value = ExtendedPattern::read(text).unwrap();
        let written = ExtendedPattern::write(&value);
        assert_eq!(ExtendedPattern::read(&written).unwrap(), value, "{text} {written}");
        let pattern: ExtendedPattern = text.parse().unwrap();
        assert!(pattern.matches(&value), "{text}");
    }
    assert_eq!(ExtendedPattern::write(&[2, 2, 0, 0, 0xFD, 0xE8, 0, 7]), "raw:02020000fde80007");
    for (pattern, value, expect) in [
        ("rt:65000:*", "rt:65000:7", true),
        ("rt:65000:7", "soo:65000:7", false),
        ("rt:*:7", "rt:4200000000:7", true),
        ("rt:*:7", "rt:10.0.0.1:7", false),
        ("raw:0002*", "rt:1:7", true),
        ("raw:0003*", "rt:1:7", false),
        ("rt:65000:7", "raw:02020000fde80007", true),
    ] {
        let value = ExtendedPattern::read(value).unwrap();
        assert_eq!(
            pattern.parse::<ExtendedPattern>().unwrap().matches(&value),
            expect,
            "{pattern}"
        );
    }
    for text in ["no-export", "65000:100", "65000:*", "*:1-9", "rt:*:5", "raw:4004*", "1:*:3"] {
        assert_eq!(text.parse::<CommunityPattern>().unwrap().to_string(), text);
    }
}

#[test]
fn prefix_sets_are_searched() {
    let set: PrefixSet = [
        "10.0.0.0/8 le 16",
        "10.0.0.0/8 ge 24 le 25",
        "10.1.0.0/16 ge 32",
        "0.0.0.0/0",
        "fd00::/8 le 64",
    ]
    .map(|text| text.parse::<PrefixRange>().unwrap())
    .into_iter()
    .collect();
    for (prefix, expect) in [
        ("10.0.0.0/8", true),
        ("10.0.0.0/16", true),
        ("10.0.0.0/17", false),
        ("10.9.9.0/24", true),
        ("10.1.2.3/32", true),
        ("10.2.2.3/32", false),
        ("0.0.0.0/0", true),
        ("::/0", false),
        ("fd00:1::/64", true),
        ("fd00::1/128", false),
        ("11.0.0.0/16", false),
    ] {
        assert_eq!(set.matches(&prefix.parse::<Prefix>().unwrap()), expect, "{prefix}");
    }
}

/// A link bandwidth is matched and removed whatever it says; read as a value it must be one alone.
#[test]
fn patterns_of_link_bandwidths() {
    let check = |pattern: &str, value: &str, expect: bool| {
        let read: ExtendedPattern = pattern.parse().unwrap();
        assert_eq!(read.to_string(), pattern);
        let value = ExtendedPattern::read(value).unwrap();
        assert_eq!(read.matches(&value), expect, "{pattern} {value:02x?}");
    };
    for value in ["bandwidth:65000:5", "bandwidth:1:125000000", "raw:0004fde800000000"] {
        check("bandwidth:*:*", value, true);
    }
    check("bandwidth:*:*", "rt:65000:5", false);
    check("bandwidth:65000:*", "bandwidth:65000:5", true);
    check("bandwidth:65000:*", "bandwidth:65001:5", false);
    check("bandwidth:65000-65009:5", "bandwidth:65001:5", true);
    check("bandwidth:*:5", "bandwidth:65001:6", false);
    assert!(ExtendedPattern::read("bandwidth:65000:*").is_err());
    let message = "bandwidth:1:x".parse::<ExtendedPattern>().unwrap_err().to_string();
    assert!(message.contains("bandwidth:65000:*"), "{message}");
}
