//! Hosts out of network namespaces, and routers on them.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use node_api::{Endpoint, FibClient, RouterClient};
use tokio::runtime::Runtime;

/// How long a test waits for something that must happen.
const LIMIT: Duration = Duration::from_secs(30);

/// Set inside the namespaces of a test.
const INSIDE: &str = "SARTD_TEST_INSIDE";

/// The namespaces that a test runs in; everything in them ends with it.
pub(crate) struct World {
    runtime: Runtime,
    directory: Directory,
}

/// A network namespace: the test's own, or one held by a process.
pub(crate) struct Host {
    holder: Option<Child>,
    directory: PathBuf,
}

/// A `sartd bgp` (or `sartd fib`) on a host. Killed when it is dropped.
pub(crate) struct Router {
    command: Vec<String>,
    run_dir: PathBuf,
    log: PathBuf,
    child: Option<Child>,
}

/// `ip monitor route` on a host.
pub(crate) struct Monitor {
    child: Child,
    file: PathBuf,
}

/// A directory that is gone at the end.
pub(crate) struct Directory(PathBuf);

/// Says what is not run, and why; not by a print macro, whose words are captured.
fn skipped(test: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {why}");
}

impl World {
    /// Runs the test of this name again inside namespaces of its own; gives the world there, and
    /// none outside, where the test is then over.
    pub(crate) fn enter(test: &str) -> Option<World> {
        if std::env::var_os(INSIDE).is_some() {
            return Some(World {
                runtime: Runtime::new().unwrap(),
                // Paths of sockets must be short.
                directory: Directory::new(test.rsplit("::").next().unwrap_or(test)),
            });
        }
        let root = run("id", &["-u"]).is_ok_and(|(_, out)| out.trim() == "0");
        let mut unshare = vec!["--net", "--mount", "--fork", "--kill-child"];
        if !root {
            unshare.extend(["--user", "--map-root-user"]);
        }
        let probe = [&unshare[..], &["ip", "link", "set", "lo", "up"]].concat();
        match run("unshare", &probe) {
            Ok((status, _)) if status.success() => {}
            Ok((status, _)) => {
                skipped(test, &format!("no network namespaces here (unshare: {status})"));
                return None;
            }
            Err(error) => {
                skipped(test, &format!("no `unshare` here ({error})"));
                return None;
            }
        }
        let status = Command::new("unshare")
            .args(unshare)
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(INSIDE, "yes")
            .status()
            .unwrap();
        assert!(status.success(), "{test} failed in its namespaces");
        None
    }

    pub(crate) fn block_on(&self, test: impl Future<Output = ()>) {
        self.runtime.block_on(test);
    }

    /// Gone at the end.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Host a (10.0.0.1, fd00::1), which the test itself is on, and host b (10.0.0.2, fd00::2).
    pub(crate) fn two_hosts(&self) -> (Host, Host) {
        let directory = self.directory.path().to_owned();
        let holder = Command::new("unshare").args(["--net", "sleep", "600"]).spawn().unwrap();
        let pid = holder.id().to_string();
        let space = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
        let deadline = Instant::now() + LIMIT;
        while space(&pid) == space("self") {
            assert!(Instant::now() < deadline, "the second namespace did not come");
            std::thread::yield_now();
        }
        let a = Host { holder: None, directory: directory.clone() };
        let b = Host { holder: Some(holder), directory };
        a.run(&["ip", "link", "add", "left", "type", "veth", "peer", "right", "netns", &pid]);
        for (host, link, n) in [(&a, "left", 1), (&b, "right", 2)] {
            host.run(&["ip", "link", "set", "lo", "up"]);
            host.run(&["ip", "address", "add", &format!("10.0.0.{n}/24"), "dev", link]);
            let v6 = format!("fd00::{n}/64");
            host.run(&["ip", "address", "add", &v6, "dev", link, "nodad"]);
            host.run(&["ip", "link", "set", link, "up"]);
        }
        (a, b)
    }
}

impl Host {
    /// The command's words, so that it runs on this host.
    fn on(&self, words: &[&str]) -> Vec<String> {
        let mut all = Vec::new();
        if let Some(holder) = &self.holder {
            all.extend(["nsenter".to_owned(), format!("--net=/proc/{}/ns/net", holder.id())]);
        }
        all.extend(words.iter().map(ToString::to_string));
        all
    }

    /// The process that holds the namespace.
    pub(crate) fn pid(&self) -> String {
        self.holder.as_ref().map_or_else(std::process::id, Child::id).to_string()
    }

    /// Runs a command and gives what it wrote.
    pub(crate) fn run(&self, words: &[&str]) -> String {
        let all = self.on(words);
        let rest: Vec<&str> = all[1..].iter().map(String::as_str).collect();
        let (status, out) = run(&all[0], &rest).unwrap();
        assert!(status.success(), "{words:?}: {status}");
        out
    }

    /// Whether a command succeeds here.
    pub(crate) fn can(&self, words: &[&str]) -> bool {
        let all = self.on(words);
        let rest: Vec<&str> = all[1..].iter().map(String::as_str).collect();
        run(&all[0], &rest).unwrap().0.success()
    }

    /// Runs a command that fails, and gives what it said.
    pub(crate) fn refused(&self, words: &[&str]) -> String {
        let all = self.on(words);
        let output = Command::new(&all[0]).args(&all[1..]).output().unwrap();
        assert!(!output.status.success(), "{words:?} succeeds");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Starts a router with a configuration file.
    pub(crate) fn router(&self, name: &str, document: &str, flags: &[&str]) -> Router {
        let file = self.directory.join(format!("{name}.yaml"));
        std::fs::write(&file, document).unwrap();
        let file = file.display().to_string();
        self.bare_router(name, &[&["-f", &file], flags].concat())
    }

    /// Starts a router without a configuration file.
    pub(crate) fn bare_router(&self, name: &str, flags: &[&str]) -> Router {
        let run_dir = self.directory.join(name);
        let run_dir_text = run_dir.display().to_string();
        let start = [env!("CARGO_BIN_EXE_sartd"), "bgp", "--run-dir", &run_dir_text];
        self.daemon(name, run_dir.clone(), &[&start, flags].concat())
    }

    /// Starts a router with a configuration file by a program that becomes it.
    pub(crate) fn router_by(&self, starter: &[&str], name: &str, document: &str) -> Router {
        let file = self.directory.join(format!("{name}.yaml")).display().to_string();
        std::fs::write(&file, document).unwrap();
        let run_dir = self.directory.join(name);
        let run_dir_text = run_dir.display().to_string();
        let start = [env!("CARGO_BIN_EXE_sartd"), "bgp", "-f", &file, "--run-dir", &run_dir_text];
        self.daemon(name, run_dir, &[starter, &start].concat())
    }

    /// Starts a FIB controller with a configuration file.
    pub(crate) fn controller(&self, name: &str, document: &str, flags: &[&str]) -> Router {
        let run_dir = self.directory.join(name);
        std::fs::create_dir_all(&run_dir).unwrap();
        let file = run_dir.join("fib.yaml").display().to_string();
        std::fs::write(&file, document).unwrap();
        let socket = run_dir.join("fib.sock").display().to_string();
        let start = [env!("CARGO_BIN_EXE_sartd"), "fib", "-f", &file, "--socket", &socket];
        self.daemon(name, run_dir, &[&start, flags].concat())
    }

    fn daemon(&self, name: &str, run_dir: PathBuf, words: &[&str]) -> Router {
        let log = self.directory.join(format!("{name}.log"));
        let mut router = Router { command: self.on(words), run_dir, log, child: None };
        router.start();
        router
    }

    /// Records changes of the kernel's routes.
    pub(crate) fn monitor_routes(&self) -> Monitor {
        let file = self.directory.join("monitor.log");
        let all = self.on(&["ip", "monitor", "route"]);
        let out = File::create(&file).unwrap();
        let child = Command::new(&all[0]).args(&all[1..]).stdout(out).spawn().unwrap();
        // From here on nothing is missed: its socket is in a group of the kernel's news.
        let (pid, sockets) = (child.id().to_string(), format!("/proc/{}/net/netlink", child.id()));
        let hears = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            matches!(words.as_slice(), [_, _, of, groups, ..] if *of == pid && *groups != "00000000")
        };
        let deadline = Instant::now() + LIMIT;
        while !std::fs::read_to_string(&sockets).unwrap().lines().any(hears) {
            assert!(Instant::now() < deadline, "the monitor does not hear anything");
            std::thread::yield_now();
        }
        Monitor { child, file }
    }
}

impl Router {
    pub(crate) fn start(&mut self) {
        assert!(self.child.is_none(), "the router runs already");
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    pub(crate) fn client(&self) -> RouterClient {
        let socket = self.run_dir.join("router.sock");
        RouterClient::new(Endpoint::Unix(socket), None).unwrap()
    }

    /// A client of a FIB controller.
    pub(crate) fn fib_client(&self) -> FibClient {
        FibClient::new(Endpoint::Unix(self.run_dir.join("fib.sock")), None).unwrap()
    }

    /// Bytes of memory that it has now.
    pub(crate) fn memory(&self) -> u64 {
        let child = self.child.as_ref().expect("the router runs");
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// What it has written to its log.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn run_dir(&self) -> &Path {
        &self.run_dir
    }

    pub(crate) async fn wait_until_up(&self) {
        let client = self.client();
        eventually("the router answers", async || client.global().await.is_ok()).await;
    }

    /// SIGKILL.
    pub(crate) fn crash(&mut self) {
        let mut child = self.child.take().expect("the router runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGHUP.
    pub(crate) fn hang_up(&self) {
        let child = self.child.as_ref().expect("the router runs");
        run("kill", &["-HUP", &child.id().to_string()]).unwrap();
    }

    /// SIGTERM; gives the exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("the router runs");
        run("kill", &["-TERM", &child.id().to_string()]).unwrap();
        child.wait().unwrap().code()
    }
}

impl Monitor {
    pub(crate) fn text(&self) -> String {
        std::fs::read_to_string(&self.file).unwrap()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            eprintln!("--- {}\n{log}", self.log.display());
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(holder) = &mut self.holder {
            let _ = holder.kill();
            let _ = holder.wait();
        }
    }
}

impl Directory {
    pub(crate) fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("sartd-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Waits for a state of the world outside, which nobody tells us of.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + LIMIT;
    let mut look = tokio::time::interval(Duration::from_millis(50));
    while !is_so().await {
        assert!(tokio::time::Instant::now() < deadline, "not in time: {what}");
        look.tick().await;
    }
}

fn run(program: &str, arguments: &[&str]) -> std::io::Result<(ExitStatus, String)> {
    let output = Command::new(program).args(arguments).output()?;
    if !output.stderr.is_empty() {
        eprintln!("{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok((output.status, String::from_utf8_lossy(&output.stdout).into_owned()))
}
