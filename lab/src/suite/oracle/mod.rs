//! Another reader of BGP beside our codec: what it writes, and what it makes of damage, as tshark
//! dissects it.

mod fields;
mod generate;
mod pcap;

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::bench::random::Random;
use fields::{ASKED, Fields};
use generate::Damaged;

/// The same messages everywhere.
const SEED: u64 = 20_261_121;
const WHOLE: usize = 3_000;
const DAMAGED: usize = 6_000;

/// What tshark says of one frame.
struct Row {
    fields: Fields,
    malformed: bool,
}

/// Compares whole and damaged messages; gives what was found, in words.
pub(super) fn tshark(logs: &Path) -> Result<String> {
    let mut random = Random::new(SEED);
    let mut frames = Vec::new();
    let mut wanted = Vec::new();
    for _ in 0..WHOLE {
        let sample = generate::message(&mut random)?;
        frames.push(sample.frame);
        wanted.push(Damaged::Read(sample.fields));
    }
    for _ in 0..DAMAGED {
        let (frame, damaged) = generate::damaged(&mut random)?;
        frames.push(frame);
        wanted.push(damaged);
    }
    let file = logs.join("tshark.pcap");
    std::fs::write(&file, pcap::file(&frames))
        .with_context(|| format!("write {}", file.display()))?;
    let rows = dissect(&file)?;
    ensure!(rows.len() == frames.len(), "tshark saw {} of {} frames", rows.len(), frames.len());

    let (mut read, mut refused, mut overrun) = (0, 0, 0);
    let mut disagreements = Vec::new();
    for (number, ((row, wanted), frame)) in rows.iter().zip(&wanted).zip(&frames).enumerate() {
        let why = match wanted {
            Damaged::Read(fields) => {
                read += usize::from(number >= WHOLE);
                if row.malformed {
                    Some("tshark calls it malformed, we read it".to_owned())
                } else {
                    difference(fields, &row.fields)
                }
            }
            Damaged::Overrun => {
                overrun += 1;
                (!row.malformed).then(|| "tshark does not see the overrun".to_owned())
            }
            Damaged::Refused => {
                refused += 1;
                None
            }
        };
        if let Some(why) = why {
            disagreements.push(format!("frame {}: {why}: {}", number + 1, hex(frame)));
        }
    }
    if !disagreements.is_empty() {
        let list = logs.join("disagreements.txt");
        std::fs::write(&list, disagreements.join("\n"))?;
        let (count, first) = (disagreements.len(), disagreements.swap_remove(0));
        bail!("{count} disagreements, see {}; {first}", list.display());
    }
    // Otherwise little has been compared.
    ensure!(read > DAMAGED / 20, "only {read} damaged messages can still be read");
    ensure!(overrun > DAMAGED / 20, "only {overrun} messages run over their end");
    Ok(format!(
        "{WHOLE} messages read alike; of {DAMAGED} damaged ones {read} read alike, {overrun} run \
         over their end for both, {refused} are refused by us"
    ))
}

/// The first field that is not as it shall be.
fn difference(wanted: &Fields, found: &Fields) -> Option<String> {
    ASKED.iter().find_map(|name| {
        let of = |fields: &Fields| fields.get(name).cloned().unwrap_or_default();
        let (wanted, found) = (of(wanted), of(found));
        (wanted != found).then(|| format!("{name} is {found:?}, not {wanted:?}"))
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().skip(16).map(|byte| format!("{byte:02x}")).collect()
}

/// tshark's words on every frame of a capture.
fn dissect(file: &Path) -> Result<Vec<Row>> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-r"]).arg(file).args(["-T", "fields"]);
    command.args(["-E", "separator=/t", "-E", "occurrence=a", "-E", "aggregator=,"]);
    // Nothing in a lone UPDATE says how long its AS numbers are.
    command.args(["-o", "bgp.asn_len:4 octet", "-o", "tcp.analyze_sequence_numbers:FALSE"]);
    for name in ASKED.iter().chain(&["_ws.malformed"]) {
        command.args(["-e", name]);
    }
    let out = command.stdin(Stdio::null()).output().context("run tshark")?;
    let errors = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "tshark: {}: {}", out.status, errors.trim());
    let text = String::from_utf8_lossy(&out.stdout);
    Ok(text.lines().map(row).collect())
}

fn row(line: &str) -> Row {
    let mut values = line.split('\t');
    let mut fields = Fields::new();
    for (name, value) in ASKED.iter().zip(values.by_ref()) {
        if !value.is_empty() {
            fields.insert(name, value.to_owned());
        }
    }
    Row { fields, malformed: values.any(|value| !value.is_empty()) }
}
