use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::thread;

use super::*;

/// A directory of its own for a test's socket, removed at the end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let dir = std::env::temp_dir().join(format!("sart-cni-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Dir(dir)
    }
    fn agent(&self, retry: Duration) -> Agent {
        Agent::at(self.0.join("s"), retry)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Serves one connection: reads a line, writes these bytes, hangs up.
fn serve(listener: &UnixListener, reply: &[u8]) {
    let (mut stream, _) = listener.accept().unwrap();
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).unwrap();
    assert!(line.starts_with("{\"version\":1,\"request\":{\"command\":\"STATUS\""), "{line}");
    stream.write_all(reply).unwrap();
}

#[test]
fn an_agent_that_comes_back_is_waited_for() {
    let dir = Dir::new("back");
    let agent = dir.agent(Duration::from_secs(10));
    let path = dir.0.join("s");
    let server = thread::spawn(move || {
        let listener = UnixListener::bind(&path).unwrap();
        // The first time it dies before it has answered, the second in the middle of its answer.
        serve(&listener, b"");
        serve(&listener, b"{\"version\":1,");
        serve(&listener, b"{\"version\":1,\"ok\":{}}\n");
    });
    assert_eq!(agent.ask(&Request::Status {}, None).unwrap(), Reply::Ok(Default::default()));
    server.join().unwrap();
}

#[test]
fn an_agent_that_stays_away_is_error_11() {
    let dir = Dir::new("away");
    let error = dir.agent(Duration::ZERO).ask(&Request::Status {}, None).unwrap_err();
    assert_eq!(error.code, ErrorCode::TryAgainLater);
    assert!(error.message.starts_with("agent-away: nobody serves "), "{}", error.message);
}

#[test]
fn an_agent_of_another_version_is_named() {
    let dir = Dir::new("version");
    let listener = UnixListener::bind(dir.0.join("s")).unwrap();
    let agent = dir.agent(Duration::ZERO);
    let server = thread::spawn(move || serve(&listener, b"{\"version\":9,\"ok\":{}}\n"));
    let error = agent.ask(&Request::Status {}, None).unwrap_err();
    server.join().unwrap();
    assert_eq!(error.code, ErrorCode::Other(100));
    assert!(error.message.starts_with("line-version: "), "{}", error.message);
}
