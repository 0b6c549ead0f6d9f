//! The server with the kernel's links, in a user and network namespace of its own.

use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::process::Command;

use super::*;

const INSIDE: &str = "SART_TEST_INSIDE_NAMESPACE";
/// Without root by way of a user namespace; as root also where those are forbidden.
const UNSHARE: [&[&str]; 2] = [&["--user", "--map-root-user", "--net"], &["--net"]];

/// Runs `body` in namespaces of its own; a kernel or container that allows none is said loudly.
fn isolated(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let probe = "echo 1 > /proc/sys/net/ipv4/ip_forward";
    let allowed = |flags: &&&[&str]| {
        let output = Command::new("unshare").args(**flags).args(["sh", "-c", probe]).output();
        output.is_ok_and(|output| output.status.success())
    };
    let Some(flags) = UNSHARE.iter().find(allowed) else {
        // Not a print macro: those are captured.
        let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: no namespaces with writable sysctls");
        return;
    };
    let output = Command::new("unshare")
        .args(*flags)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", &format!("agent::cni::tests::real::{test}")])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}\n{error}");
}

#[test]
fn an_agent_that_restarts_knows_its_pods_from_the_kernel() {
    isolated("an_agent_that_restarts_knows_its_pods_from_the_kernel", || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(restart());
    });
}

async fn restart() {
    let links = Arc::new(KernelLinks);
    let agent = || {
        let books = Books::new();
        let calls = Calls::new(books.clone(), Arc::new(FakePods), links.clone(), Locks::default());
        (books, calls)
    };
    let (one, two) = (kernel::netns::create().unwrap(), kernel::netns::create().unwrap());
    let fd = |fd: &OwnedFd| Some(fd.try_clone().unwrap());

    let (books, calls) = agent();
    books.set_blocks(&[block("10.1.0.0/30")]);
    let done = calls.serve(add("one"), fd(&one)).await.unwrap();
    assert_eq!(ips(done.allocated), [ip("10.1.0.0")]);
    drop((books, calls));

    let (books, calls) = agent();
    collect::recover(&books, &links).await.unwrap();
    books.set_blocks(&[block("10.1.0.0/30")]);
    let done = calls.serve(add("two"), fd(&two)).await.unwrap();
    assert_eq!(ips(done.allocated), [ip("10.1.0.1")]);
    let check = Request::Check { attachment: attachment("one"), addresses: vec![ip("10.1.0.0")] };
    calls.serve(check, fd(&one)).await.unwrap();
    let again = calls.serve(add("one"), fd(&one)).await.unwrap();
    assert_eq!(ips(again.allocated), [ip("10.1.0.0")]);

    let own = calls.serve(add("host"), netns()).await.unwrap_err();
    assert_eq!((own.code, own.reason.as_str()), (4, "host-namespace"));
    // A second container for the same namespace finds the interface taken, and leaves nothing.
    let taken = calls.serve(add("other"), fd(&one)).await.unwrap_err();
    assert_eq!(taken.reason, "interface-taken");
    for _ in 0..2 {
        calls.serve(del("one"), None).await.unwrap();
    }
    assert_eq!(kernel::pod::list().unwrap().len(), 1);
    assert_eq!(books.blocks(), [("10.1.0.0/30".parse().unwrap(), "default".into(), 1)]);
    assert!(kernel::netns::same(two.as_fd(), two.as_fd()).unwrap());
}
