//! What our own decoder reads in a message, under tshark's names.

use anyhow::{Result, bail, ensure};
use bgp_packet::{Message, Notification, Options, RefreshKind, Update, Verdict, decode};
use inet::{Family, Prefix};

use super::damage::codes;
use super::fields::{self, CODES, Fields, put};

/// The values of a message.
///
/// # Errors
/// When anything of it is refused or discarded.
pub(super) fn fields(frame: &[u8], options: &Options) -> Result<Fields> {
    let message = match decode(frame, options) {
        Ok(message) => message,
        Err(error) => bail!("refused: {error:?}"),
    };
    let mut fields;
    match message {
        Message::Keepalive => fields = fields::message(4, frame.len()),
        Message::Open(open) => {
            fields = fields::message(1, frame.len());
            fields::open(&open, &mut fields);
        }
        Message::RouteRefresh { family, kind } => {
            fields = fields::message(5, frame.len());
            put(&mut fields, "bgp.route_refresh.afi", [afi(family)]);
            let subtype = match kind {
                RefreshKind::Request => 0,
                RefreshKind::Begin => 1,
                RefreshKind::End => 2,
            };
            put(&mut fields, "bgp.route_refresh.subtype", [subtype]);
        }
        Message::Notification(told) => {
            fields = fields::message(3, frame.len());
            notification(&told, &mut fields);
        }
        Message::Update(update) => {
            fields = fields::message(2, frame.len());
            self::update(frame, options, &update, &mut fields)?;
        }
        Message::Ignored => bail!("ignored"),
    }
    Ok(fields)
}

fn afi(family: Family) -> u8 {
    match family {
        Family::Ipv4 => 1,
        Family::Ipv6 => 2,
    }
}

fn notification(told: &Notification, fields: &mut Fields) {
    put(fields, "bgp.notify.major_error", [told.code]);
    match told.code {
        3 => put(fields, "bgp.notify.minor_error_update", [told.subcode]),
        6 => put(fields, "bgp.notify.minor_error_cease", [told.subcode]),
        _ => {}
    }
    put(fields, "bgp.notify.communication", told.communication());
}

fn update(frame: &[u8], options: &Options, update: &Update<'_>, fields: &mut Fields) -> Result<()> {
    ensure!(update.malformed.is_empty(), "malformed: {:?}", update.malformed);
    match (update.reach.as_slice(), update.withdrawn.as_slice()) {
        ([reach], []) => {
            let verdict = update.attributes.decode(options, reach.next_hop);
            let Verdict::Accept(set, discarded) = verdict else { bail!("{verdict:?}") };
            ensure!(discarded.is_empty(), "discarded: {discarded:?}");
            put(fields, CODES, codes(frame));
            fields::attributes(&set, fields);
            let family = reach.nlri.family();
            fields::next_hop(&set, family, fields);
            let prefixes: Vec<Prefix> = reach.nlri.iter().collect();
            let place = fields::place(family, Family::of(&set.next_hop.address));
            fields::prefixes(&prefixes, place, fields);
            if options.add_path_receive.has(family) {
                let ids = reach.nlri.paths().map(|(id, _)| id.0);
                put(fields, "bgp.nlri_path_id", ids);
            }
        }
        ([], [nlri]) => {
            let prefixes: Vec<Prefix> = nlri.iter().collect();
            let place = match nlri.family() {
                Family::Ipv4 => "bgp.withdrawn_prefix",
                Family::Ipv6 => {
                    put(fields, CODES, codes(frame));
                    "bgp.mp_unreach_nlri_ipv6_prefix"
                }
            };
            fields::prefixes(&prefixes, place, fields);
        }
        (reach, withdrawn) => bail!("{} announced, {} withdrawn", reach.len(), withdrawn.len()),
    }
    Ok(())
}
