//! Keys of the whole router that more than one owner has set: one value counts, and the others'
//! owners are told so.

use std::fmt;

use router_config::{Bmp, Document};

use super::owners::FILE;

/// What an owner wants and does not get.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ignored {
    pub(super) what: What,
    /// Whose value counts.
    pub(super) owner: String,
    /// Whose does not.
    pub(super) ignored: String,
}

/// Which key it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// The first owner by name decides.
    Port,
    Fib,
    Mrt,
    /// The first owner by name decides on a station.
    Station(String),
    /// Read before anything else: the router's own file decides.
    Grpc,
    HealthPort,
}

/// All of them, of the documents in the order of their owners' names. Equal values do not matter.
pub(super) fn ignored<'a>(owners: &[(&'a str, &'a Document)]) -> Vec<Ignored> {
    let mut all = Vec::new();
    first(owners, What::Port, |document| document.port, &mut all);
    let fib = |document: &Document| Some((document.fib_place()?, document.fib_options));
    first(owners, What::Fib, fib, &mut all);
    first(owners, What::Mrt, |document| document.mrt.clone(), &mut all);
    let mut stations: Vec<(&str, &Bmp)> = Vec::new();
    for (name, station) in owners.iter().flat_map(|(name, d)| d.bmp.iter().map(move |s| (*name, s)))
    {
        let place = |station: &Bmp| (station.address, station.port);
        match stations.iter().find(|(_, other)| place(other) == place(station)) {
            None => stations.push((name, station)),
            Some((_, other)) if *other == station => {}
            Some((owner, _)) => {
                let place = std::net::SocketAddr::new(station.address, station.port);
                all.push(Ignored::new(What::Station(place.to_string()), owner, name));
            }
        }
    }
    let file = owners.iter().find(|(name, _)| *name == FILE).map(|(_, document)| *document);
    for (name, document) in owners.iter().filter(|(name, _)| *name != FILE) {
        if document.grpc.is_some() && document.grpc != file.and_then(|file| file.grpc) {
            all.push(Ignored::new(What::Grpc, FILE, name));
        }
        let health = document.health_port;
        if health.is_some() && health != file.and_then(|file| file.health_port) {
            all.push(Ignored::new(What::HealthPort, FILE, name));
        }
    }
    all
}

/// The values of a key behind the first, where they differ from it.
fn first<T: PartialEq>(
    owners: &[(&str, &Document)],
    what: What,
    value: impl Fn(&Document) -> Option<T>,
    to: &mut Vec<Ignored>,
) {
    let mut said = owners.iter().filter_map(|(name, document)| Some((*name, value(document)?)));
    let Some((owner, counts)) = said.next() else { return };
    let others = said.filter(|(_, other)| *other != counts);
    to.extend(others.map(|(name, _)| Ignored::new(what.clone(), owner, name)));
}

impl Ignored {
    fn new(what: What, owner: &str, ignored: &str) -> Ignored {
        Ignored { what, owner: owner.to_owned(), ignored: ignored.to_owned() }
    }

    /// The name that people see.
    pub(super) fn name(&self) -> &'static str {
        match self.what {
            What::Port => "different-port",
            What::Fib => "different-fib",
            What::Mrt => "different-mrt",
            What::Station(_) => "duplicate-station",
            What::Grpc => "different-grpc",
            What::HealthPort => "different-health-port",
        }
    }
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ignored { what, owner, ignored } = self;
        let name = self.name();
        match what {
            What::Port => write!(f, "`port` is that of {owner}; that of {ignored} is ignored")?,
            What::Fib => write!(f, "`fib` is that of {owner}; that of {ignored} is ignored")?,
            What::Mrt => write!(f, "`mrt` is that of {owner}; that of {ignored} is ignored")?,
            What::Station(place) => {
                write!(
                    f,
                    "the BMP station {place} is that of {owner}; that of {ignored} is ignored"
                )?;
            }
            What::Grpc => write!(
                f,
                "`grpc` is set by the router's own file alone; that of {ignored} is ignored"
            )?,
            What::HealthPort => {
                write!(
                    f,
                    "`health_port` is set by the router's own file alone; that of {ignored} is ignored"
                )?;
            }
        }
        write!(f, " ({name})")
    }
}

#[cfg(test)]
mod tests {
    use router_config::Document;

    #[track_caller]
    fn check(documents: &[(&str, &str)], expect: &[&str]) {
        let read = |text: &str| Document::parse(text, "test").unwrap();
        let documents: Vec<_> = documents.iter().map(|(name, text)| (*name, read(text))).collect();
        let owners: Vec<_> = documents.iter().map(|(name, document)| (*name, document)).collect();
        let ignored = super::ignored(&owners);
        let shown: Vec<_> = ignored.iter().map(ToString::to_string).collect();
        assert_eq!(shown, expect);
    }

    #[test]
    fn what_the_first_owner_decides_is_told_to_the_others() {
        check(
            &[
                ("agent", "port: 1179\nfib: {metric: 7}"),
                ("cli", "mrt: {directory: /a, table_interval: 60}"),
                ("file", "port: 2179\nfib: {}\nmrt: {directory: /b, table_interval: 60}"),
            ],
            &[
                "`port` is that of agent; that of file is ignored (different-port)",
                "`fib` is that of agent; that of file is ignored (different-fib)",
                "`mrt` is that of cli; that of file is ignored (different-mrt)",
            ],
        );
    }

    #[test]
    fn equal_values_do_not_matter() {
        let all = "port: 1179\nfib: {table: 254}\nmrt: {directory: /a, table_interval: 60}\n\
                   bmp: [{address: 10.0.0.9, port: 11019}]\ngrpc: 127.0.0.1:6000\nhealth_port: 9";
        check(&[("agent", all), ("file", all)], &[]);
        check(&[("agent", "asn: 1\nrouter_id: 1.1.1.1"), ("file", all)], &[]);
    }

    #[test]
    fn a_station_is_the_first_owners_and_the_listeners_are_the_files() {
        check(
            &[
                ("agent", "bmp: [{address: 10.0.0.9, port: 11019}]\ngrpc: 127.0.0.1:6000"),
                (
                    "file",
                    "bmp: [{address: 10.0.0.9, port: 11019, buffer: 9}, {address: '::1', port: 1}]",
                ),
                ("other", "health_port: 9000"),
            ],
            &[
                "the BMP station 10.0.0.9:11019 is that of agent; that of file is ignored \
                 (duplicate-station)",
                "`grpc` is set by the router's own file alone; that of agent is ignored \
                 (different-grpc)",
                "`health_port` is set by the router's own file alone; that of other is ignored \
                 (different-health-port)",
            ],
        );
    }
}
