//! One BFD session, shown on the terminal: `bfd PEER [LOCAL] [--multihop] [--c-bit] [--tx MS]
//! [--rx MS] [--multiplier N]`. Stops after a line on the standard input, with a goodbye.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::Context as _;
use bfd::{Bfd, Config, Hop, Input, Key, Output, Seed};
use inet::Timestamp;
use sockets::BfdSockets;
use tokio::sync::mpsc;

fn arguments() -> anyhow::Result<(Key, Config)> {
    let mut args: VecDeque<String> = std::env::args().skip(1).collect();
    let mut config = Config::default();
    let (mut hop, mut addresses) = (Hop::Single, Vec::new());
    while let Some(arg) = args.pop_front() {
        let mut number = || anyhow::Ok(args.pop_front().context("a number is missing")?.parse()?);
        match arg.as_str() {
            "--multihop" => hop = Hop::Multi,
            "--c-bit" => config.control_plane_independent = true,
            "--tx" => config.desired_min_tx = Duration::from_millis(number()?),
            "--rx" => config.required_min_rx = Duration::from_millis(number()?),
            "--multiplier" => config.multiplier = number()?.try_into()?,
            address => addresses.push(address.parse::<IpAddr>()?),
        }
    }
    let peer = *addresses.first().context("which peer?")?;
    let key = Key { hop, peer, local: addresses.get(1).copied(), link: 0 };
    config.check(&key)?;
    Ok((key, config))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let (key, config) = arguments()?;
    let start = tokio::time::Instant::now();
    let now = || Timestamp::from_elapsed(start.elapsed());
    let (mut sockets, mut datagrams) = BfdSockets::new()?;
    let random = RandomState::new();
    let mut seed = [0; 16];
    for (to, from) in
        seed.iter_mut().zip([0, 1].map(|n| random.hash_one(n)).iter().flat_map(|n| n.to_ne_bytes()))
    {
        *to = from;
    }
    let mut machine = Bfd::new(Seed(seed), 1);
    machine.handle(now(), Input::Wanted(BTreeMap::from([(key, config)])));
    let (stop, mut stopped) = mpsc::channel(1);
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_line(&mut String::new());
        let _ = stop.blocking_send(());
    });
    let mut out = std::io::stdout();
    loop {
        while let Some(output) = machine.poll() {
            match output {
                Output::Send { key, bytes } => {
                    if let Err(error) = sockets.send(&key, &bytes) {
                        writeln!(out, "{:?} not sent: {error}", now().elapsed())?;
                    }
                }
                Output::Changed { key, change } => {
                    let status = machine.status(&key);
                    let times = status.map(|s| (s.transmit_interval, s.detection_time));
                    writeln!(out, "{:?} {change:?} {times:?}", now().elapsed())?;
                }
                Output::Gone { .. } => return Ok(()),
                Output::Refused { error, .. } => return Err(error.into()),
            }
        }
        let wake = machine.wake_at().map_or(Duration::from_secs(1), |at| at.since(now()));
        tokio::select! {
            biased;
            Some(datagram) = datagrams.recv() => {
                let arrival = datagram.arrival;
                machine.handle(now(), Input::Packet { bytes: &datagram.bytes, arrival });
            }
            Some(()) = stopped.recv() => {
                writeln!(out, "{:?} {:?}", now().elapsed(), machine.status(&key))?;
                machine.handle(now(), Input::Wanted(BTreeMap::new()));
            }
            () = tokio::time::sleep(wake) => machine.tick(now()),
        }
    }
}
