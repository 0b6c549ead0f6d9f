//! What stands around the daemons: their systemd units, and what they say to those who start them wrongly.

#![cfg(feature = "router")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const SARTD: &str = env!("CARGO_BIN_EXE_sartd");

fn unit(name: &str) -> String {
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/systemd");
    std::fs::read_to_string(units.join(name)).unwrap()
}

/// The only value of a unit's key.
fn value<'u>(unit: &'u str, key: &str) -> &'u str {
    let mut values = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let value = values.next().unwrap_or_else(|| panic!("{key} is not there"));
    assert_eq!(values.next(), None, "{key} is there twice");
    value
}

fn sartd(args: &[&str]) -> Output {
    Command::new(SARTD).args(args).output().unwrap()
}

fn help(daemon: &str) -> String {
    String::from_utf8(sartd(&[daemon, "--help"]).stdout).unwrap()
}

/// A directory of this test, gone at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("sartd-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn units_start_the_daemons_as_these_want_it() {
    for (name, daemon, capabilities) in [
        ("sartd-bgp.service", "bgp", "CAP_NET_ADMIN CAP_NET_BIND_SERVICE CAP_NET_RAW"),
        ("sartd-fib.service", "fib", "CAP_NET_ADMIN"),
    ] {
        let unit = unit(name);
        let words: Vec<&str> = value(&unit, "ExecStart").split(' ').collect();
        assert_eq!(words[..2], ["/usr/local/bin/sartd", daemon], "{name}");
        let help = help(daemon);
        for flag in words.iter().filter(|word| word.starts_with('-')) {
            // Short ones stand before a comma, long ones before their value.
            let known = help.split([' ', ',']).any(|word| word == *flag);
            assert!(known, "{name}: {flag} is not in:\n{help}");
        }
        let file = words.iter().position(|word| *word == "-f").map(|at| words[at + 1]);
        assert!(file.is_some_and(|file| file.starts_with("/etc/sart/")), "{name}: {file:?}");
        assert_eq!(value(&unit, "CapabilityBoundingSet"), capabilities, "{name}");
        assert_eq!(value(&unit, "ProtectSystem"), "strict", "{name}");
        // Both daemons have their sockets in it: the end of one must not take it from the other.
        assert_eq!(value(&unit, "RuntimeDirectory"), "sart", "{name}");
        assert_eq!(value(&unit, "RuntimeDirectoryPreserve"), "yes", "{name}");
    }
    assert_eq!(value(&unit("sartd-bgp.service"), "ExecReload"), "/bin/kill -HUP $MAINPID");
    // SIGHUP ends the FIB controller: it reads its file at the start alone.
    assert!(!unit("sartd-fib.service").lines().any(|line| line.starts_with("ExecReload")));
}

#[test]
fn systemd_takes_the_units() {
    let directory = Directory::new("units");
    let mut files = Vec::new();
    for name in ["sartd-bgp.service", "sartd-fib.service"] {
        // systemd looks whether the program is there.
        let text = unit(name).replace("/usr/local/bin/sartd", SARTD);
        let file = directory.0.join(name);
        std::fs::write(&file, text).unwrap();
        files.push(file);
    }
    let verify = Command::new("systemd-analyze").args(["verify", "--man=no"]).args(files).output();
    match verify {
        Ok(output) => {
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && !told.contains("sartd-"), "{told}");
        }
        Err(error) => eprintln!("SKIPPED: no `systemd-analyze` here ({error})"),
    }
}

#[test]
fn a_file_that_is_not_there_is_called_so() {
    let directory = Directory::new("no-file");
    let run_dir = directory.0.join("run");
    let run_dir = run_dir.to_str().unwrap();
    let output = sartd(&["bgp", "-f", "/nonexistent/router.yaml", "--run-dir", run_dir]);
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stderr);
    let expect = "sartd: /nonexistent/router.yaml: cannot be read: No such file or directory (os \
                  error 2) (unreadable)";
    assert_eq!(told.trim_end(), expect);
}

#[test]
fn who_may_not_write_the_run_directory_is_told_of_root_and_the_flag() {
    // Nobody makes directories there, not even root.
    let output = sartd(&["bgp", "--as", "1", "--router-id", "1.1.1.1", "--run-dir", "/sys/sart"]);
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stderr);
    let expect = "the run directory /sys/sart (run as root, or choose another with --run-dir): ";
    assert!(told.contains(expect), "{told}");
    let output = sartd(&["fib", "--socket", "/sys/sart/fib.sock"]);
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stderr);
    let expect = "no unix socket (run as root, or choose another with --socket): cannot listen on ";
    assert!(told.contains(expect), "{told}");
}
