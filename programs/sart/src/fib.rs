//! `sart fib`.

use std::net::IpAddr;

use inet::Prefix;
use node_api::{CallError, v1};

use crate::cli::{Channel, Common, FamilyArgs, Fib, Net, SetRoutes};
use crate::{Failure, bgp, connect, output, text};

/// Prefixes asked for at once.
const PAGE: u32 = 2000;

/// Prefixes that are written at once.
const PART: usize = 2000;

pub(crate) async fn run(common: &Common, what: Fib) -> Result<(), Failure> {
    match what {
        Fib::List { prefix, family } | Fib::Get { prefix, family } => {
            wanted(common, prefix, family).await
        }
        Fib::Channel(what) => channel(common, what).await.map_err(|failure| match failure {
            ChannelFailure::Call(error) => of_controller(error),
            ChannelFailure::Other(failure) => failure,
        }),
    }
}

async fn wanted(common: &Common, only: Option<Net>, family: FamilyArgs) -> Result<(), Failure> {
    let named = bgp::family(family)?;
    let prefix = match only {
        Some(Net::Prefix(prefix)) => Some(prefix),
        Some(Net::Address(address)) => Some(Prefix::host(address)),
        None => None,
    };
    let family = bgp::of_family(family, prefix.as_slice())?.unwrap_or(named);
    let mut request = v1::GetFibRequest {
        family: family.to_string(),
        prefix: only.map(|only| only.to_string()).unwrap_or_default(),
        limit: PAGE,
        ..Default::default()
    };
    let router = connect::router(common)?;
    // A full table is not held here: it comes in the order of prefixes.
    let mut parts = output::Parts::new(common.format());
    let mut entries: Vec<v1::FibEntry> = Vec::new();
    loop {
        let page = router.fib(request.clone()).await?;
        let last = page.entries.last().map(|entry| entry.prefix.clone());
        entries.extend(page.entries);
        let next = last.filter(|_| page.more);
        if next.is_none() || entries.len() >= PART {
            if !parts.write(&entries, text::fib_table)? {
                return Ok(());
            }
            entries.clear();
        }
        match next {
            Some(prefix) => request.after = prefix,
            None => break,
        }
    }
    parts.end(|| text::fib_table(&[]));
    Ok(())
}

/// Why a command about channels failed.
enum ChannelFailure {
    /// The controller's word, or that it does not answer.
    Call(CallError),
    Other(Failure),
}

impl From<CallError> for ChannelFailure {
    fn from(error: CallError) -> ChannelFailure {
        ChannelFailure::Call(error)
    }
}

impl From<Failure> for ChannelFailure {
    fn from(failure: Failure) -> ChannelFailure {
        ChannelFailure::Other(failure)
    }
}

/// A call's error, in words that name the FIB controller.
fn of_controller(error: CallError) -> Failure {
    match error {
        CallError::Unreachable(endpoint, why) => {
            Failure::Unreachable(format!("the FIB controller at {endpoint} does not answer: {why}"))
        }
        CallError::Unknown => Failure::Refused(
            "no FIB controller is there, or it is of an older version: it does not know this call"
                .to_owned(),
        ),
        CallError::NotAllowed(_) | CallError::Refused(_) | CallError::NotFound(_) => error.into(),
    }
}

async fn channel(common: &Common, what: Channel) -> Result<(), ChannelFailure> {
    let fib = connect::fib(common)?;
    match what {
        Channel::List => {
            let list = fib.channels().await?;
            output::answer(common.format(), &list, text::channels)?;
        }
        Channel::Get { name } => {
            let list = fib.channels().await?.channels;
            let Some(channel) = list.iter().find(|channel| channel.name == name) else {
                let names: Vec<&str> = list.iter().map(|channel| channel.name.as_str()).collect();
                let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                let message = format!("there is no channel {name:?}; there are: {there}");
                return Err(Failure::Refused(message).into());
            };
            output::answer(common.format(), channel, text::channel)?;
        }
        Channel::Route { name } => {
            let mut request =
                v1::ListChannelRoutesRequest { channel: name, limit: PAGE, ..Default::default() };
            let mut routes = Vec::new();
            loop {
                let page = fib.routes(request.clone()).await?;
                routes.extend(page.routes);
                match routes.last() {
                    Some(last) if page.more => request.after.clone_from(&last.prefix),
                    _ => break,
                }
            }
            output::answer(common.format(), &routes, |routes| text::channel_routes(routes))?;
        }
        Channel::Set(set) => {
            let reply = fib.set(set_request(set)?).await?;
            changed(common, &reply)?;
        }
        Channel::Forget { name, owner } => {
            let reply = fib.forget(&owner, name.as_deref().unwrap_or_default()).await?;
            changed(common, &reply)?;
        }
    }
    Ok(())
}

fn changed(common: &Common, reply: &v1::SetRoutesReply) -> Result<(), Failure> {
    if !reply.accepted {
        return Err(Failure::Refused(reply.problems.join("\n")));
    }
    output::answer(common.format(), reply, |reply| match reply.routes {
        1 => "the owner has 1 route now".to_owned(),
        routes => format!("the owner has {routes} routes now"),
    })
}

fn set_request(set: SetRoutes) -> Result<v1::SetRoutesRequest, Failure> {
    let (place, lines) = match set.file {
        Some(path) => {
            let text = output::read(&path)?;
            (format!("{}:", path.display()), text.lines().map(str::to_owned).collect())
        }
        None => ("route ".to_owned(), set.routes),
    };
    let (mut routes, mut problems) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(&lines) {
        let line = line.split('#').next().unwrap_or_default();
        if line.trim().is_empty() {
            continue;
        }
        match route(line) {
            Ok(route) => routes.push(route),
            Err(why) => problems.push(format!("{place}{number}: {why}")),
        }
    }
    if !problems.is_empty() {
        return Err(Failure::Refused(problems.join("\n")));
    }
    let distance = u32::from(set.distance);
    Ok(v1::SetRoutesRequest { owner: set.owner, channel: set.name, distance, routes })
}

/// Reads a route as people write it.
fn route(line: &str) -> Result<v1::FibRoute, String> {
    const FORM: &str = "it is via ADDRESS [dev LINK] [weight N], dev LINK, blackhole, unreachable \
                        or prohibit";
    let mut words = line.split_whitespace();
    let prefix: Prefix = words.next().unwrap_or_default().parse().map_err(|e| format!("{e}"))?;
    let mut route = v1::FibRoute { prefix: prefix.to_string(), ..Default::default() };
    let link = |word: Option<&str>| {
        word.map(str::to_owned).ok_or_else(|| format!("{prefix}: a link follows \"dev\""))
    };
    while let Some(word) = words.next() {
        let last = route.next_hops.last_mut();
        match word {
            "blackhole" | "unreachable" | "prohibit" if route.kind.is_empty() => {
                route.kind = word.to_owned();
            }
            "via" if matches!(route.kind.as_str(), "" | "via") => {
                let text = words.next().unwrap_or_default();
                let address: IpAddr =
                    text.parse().map_err(|_| format!("{prefix}: {text:?} is no address"))?;
                route.kind = "via".to_owned();
                let address = address.to_string();
                route.next_hops.push(v1::FibNextHop { address, ..Default::default() });
            }
            "dev" => match last {
                Some(hop) => hop.interface = link(words.next())?,
                None if route.kind.is_empty() => {
                    route.kind = "link".to_owned();
                    route.interface = link(words.next())?;
                }
                None => return Err(format!("{prefix}: {word:?} makes no sense here; {FORM}")),
            },
            "weight" => {
                let Some(hop) = last else {
                    return Err(format!("{prefix}: a weight follows a next hop"));
                };
                let text = words.next().unwrap_or_default();
                hop.weight = text
                    .parse()
                    .ok()
                    .filter(|weight| (1..=256).contains(weight))
                    .ok_or_else(|| format!("{prefix}: {text:?} is no weight, 1 to 256"))?;
            }
            other => return Err(format!("{prefix}: {other:?} makes no sense here; {FORM}")),
        }
    }
    if route.kind.is_empty() {
        return Err(format!("{prefix}: where to? {FORM}"));
    }
    Ok(route)
}

#[cfg(test)]
mod tests {
    use super::route;

    #[test]
    fn routes_are_read_as_people_write_them() {
        let read = route(" 10.0.0.0/24 via 10.1.0.1 weight 2  via fe80::1 dev eth0").unwrap();
        let hops: Vec<_> = read.next_hops.iter().map(|h| (h.address.as_str(), h.weight)).collect();
        assert_eq!((read.kind.as_str(), hops), ("via", vec![("10.1.0.1", 2), ("fe80::1", 0)]));
        assert_eq!(read.next_hops[1].interface, "eth0");
        assert_eq!(route("10.0.0.0/8 blackhole").unwrap().kind, "blackhole");
        assert_eq!(route("::/0 dev eth1").unwrap().interface, "eth1");
    }

    #[test]
    fn what_is_no_route_is_refused_with_its_prefix() {
        let check = |line: &str, words: &str| {
            let error = route(line).unwrap_err();
            assert!(error.contains(words), "{line}: {error}");
        };
        check("10.0.0.1/24 blackhole", "did you mean 10.0.0.0/24");
        check("10.0.0.0/24", "10.0.0.0/24: where to?");
        check("10.0.0.0/24 via", "\"\" is no address");
        check("10.0.0.0/24 via 10.0.0.1 weight 0", "\"0\" is no weight");
        check("10.0.0.0/24 weight 1", "a weight follows a next hop");
        check("10.0.0.0/24 via 10.0.0.1 blackhole", "\"blackhole\" makes no sense here");
        check("10.0.0.0/24 blackhole dev eth0", "\"dev\" makes no sense here");
        check("10.0.0.0/24 blackhole via 10.0.0.1", "\"via\" makes no sense here");
        check("10.0.0.0/24 dev", "a link follows");
    }
}
