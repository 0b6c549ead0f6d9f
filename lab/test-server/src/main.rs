//! Answers HTTP with who asked whom and when: what the lab's pods run.
//!
//! `GET` of any path gives `{"timestamp": …, "from": …, "to": …}`: the time in UTC, the address
//! that was asked, and the caller's address and port. Listens on 80 and 8080, or on the ports
//! given as arguments, for IPv4 and IPv6. `SIGTERM` ends it at once: as PID 1 of a container it would
//! otherwise be ignored, and every pod's end would take the whole grace period.

#![forbid(unsafe_code)]

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Connections served at once, over all ports; more are closed unanswered.
const CONNECTIONS: usize = 256;
/// A caller that says nothing for this long is left.
const PATIENCE: Duration = Duration::from_secs(5);
/// A request's head may be this long.
const HEAD: usize = 8192;
/// Requests answered on one connection.
const REQUESTS: usize = 1000;

fn main() -> ExitCode {
    let mut ports: Vec<u16> = Vec::new();
    for argument in std::env::args().skip(1) {
        match argument.parse() {
            Ok(port) => ports.push(port),
            Err(_) => {
                eprintln!("test-server: {argument:?} is not a port");
                return ExitCode::from(2);
            }
        }
    }
    if ports.is_empty() {
        ports = vec![80, 8080];
    }
    let mut signals = match Signals::new([SIGTERM, SIGINT]) {
        Ok(signals) => signals,
        Err(error) => {
            eprintln!("test-server: signals: {error}");
            return ExitCode::FAILURE;
        }
    };
    let open = Arc::new(AtomicUsize::new(0));
    for port in ports {
        match listen(port) {
            Ok(listener) => {
                println!("listening on {port}");
                let open = Arc::clone(&open);
                thread::spawn(move || accept(&listener, &open));
            }
            Err(error) => {
                eprintln!("test-server: port {port}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    signals.forever().next();
    ExitCode::SUCCESS
}

/// Both families on one socket; IPv4 alone where IPv6 is switched off.
fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
        .or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)))
}

fn accept(listener: &TcpListener, open: &Arc<AtomicUsize>) {
    loop {
        let Ok((stream, _)) = listener.accept() else {
            // Out of descriptors, or the caller has gone: neither ends a server.
            thread::sleep(Duration::from_millis(10));
            continue;
        };
        if open.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS {
            open.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let open = Arc::clone(open);
        thread::spawn(move || {
            // A caller that goes away in the middle is its own loss.
            let _ = serve(stream);
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let (own, caller) = (stream.local_addr()?, stream.peer_addr()?);
    let mut buffer = Vec::new();
    for _ in 0..REQUESTS {
        let Some(request) = head(&mut stream, &mut buffer)? else {
            return Ok(());
        };
        let (status, body) = match request.method.as_str() {
            "GET" | "HEAD" => ("200 OK", answer(SystemTime::now(), own, caller)),
            _ => ("405 Method Not Allowed", "{\"error\":\"GET or HEAD\"}\n".to_owned()),
        };
        // A body that we did not read would be taken for the next request.
        let close = request.close || status.starts_with("405");
        let connection = if close { "close" } else { "keep-alive" };
        let length = body.len();
        let body = if request.method == "HEAD" { "" } else { &body };
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             Connection: {connection}\r\n\r\n{body}",
        )?;
        if close {
            return Ok(());
        }
    }
    Ok(())
}

struct Request {
    method: String,
    close: bool,
}

/// Reads up to the empty line; `None` when the caller has finished.
fn head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Request>> {
    loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head: Vec<u8> = buffer.drain(..end + 4).collect();
            return Ok(parse(&String::from_utf8_lossy(&head)));
        }
        if buffer.len() > HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut chunk = [0; 1024];
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            return Ok(None);
        }
        buffer.extend_from_slice(chunk.get(..read).unwrap_or_default());
    }
}

fn parse(head: &str) -> Option<Request> {
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ');
    let method = words.next()?.to_owned();
    let old = words.nth(1) != Some("HTTP/1.1");
    let asked = lines.filter_map(|line| line.split_once(':')).any(|(name, value)| {
        name.eq_ignore_ascii_case("connection") && value.trim().eq_ignore_ascii_case("close")
    });
    Some(Request { method, close: old || asked })
}

fn answer(now: SystemTime, own: SocketAddr, caller: SocketAddr) -> String {
    let from = own.ip().to_canonical();
    let to = SocketAddr::new(caller.ip().to_canonical(), caller.port());
    format!("{{\"timestamp\":\"{}\",\"from\":\"{from}\",\"to\":\"{to}\"}}\n", rfc3339(now))
}

/// RFC 3339 in UTC with milliseconds.
fn rfc3339(now: SystemTime) -> String {
    let now = Timestamp::try_from(now).unwrap_or_default();
    format!("{now:.3}")
}

#[cfg(test)]
mod tests;
