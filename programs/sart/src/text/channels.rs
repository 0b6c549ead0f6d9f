//! The FIB controller's channels.

use std::fmt::Write as _;

use node_api::v1;

use crate::output::table;

/// A line for each channel.
pub(crate) fn channels(list: &v1::ChannelList) -> String {
    let rows = list.channels.iter().map(|channel| {
        [
            channel.name.clone(),
            channel.family.clone(),
            channel.routes.to_string(),
            channel.subscribers.join(", "),
            channel.publishers.join(", "),
            channel.owners.join(", "),
        ]
    });
    table(["NAME", "FAMILY", "ROUTES", "TAKES FROM", "GIVES TO", "OWNERS"], rows)
}

/// One channel, fully.
pub(crate) fn channel(channel: &v1::ChannelStatus) -> String {
    let mut text = format!("Channel {}\n", channel.name);
    let _ = writeln!(text, "  Family:     {}", channel.family);
    let _ = writeln!(text, "  Routes:     {}", channel.routes);
    let ends = [
        ("Takes from:", &channel.subscribers),
        ("Gives to:", &channel.publishers),
        ("Owners:", &channel.owners),
    ];
    for (name, values) in ends {
        for value in values {
            let _ = writeln!(text, "  {name:<11} {value}");
        }
    }
    text
}

/// A line for each prefix of a channel.
pub(crate) fn channel_routes(routes: &[v1::ChannelRoute]) -> String {
    let rows = routes.iter().map(|route| {
        [
            route.prefix.clone(),
            route.target.clone(),
            route.source.clone(),
            route.distance.to_string(),
            route.tables.join(", "),
        ]
    });
    table(["PREFIX", "TARGET", "SOURCE", "DISTANCE", "IN KERNEL"], rows)
}
