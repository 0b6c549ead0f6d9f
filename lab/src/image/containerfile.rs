//! The subset of a Containerfile that an image without a shell needs.
//!
//! `FROM scratch`, `COPY`, `ENTRYPOINT`, `CMD`, `ENV`, `EXPOSE`, `USER` and `LABEL`. Anything else
//! is refused with its line, so a file that builds here builds the same image under Docker.

use std::collections::BTreeMap;

/// A parsed Containerfile: what to copy, in order, and the image's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Containerfile {
    pub(crate) copies: Vec<Copy>,
    pub(crate) entrypoint: Vec<String>,
    pub(crate) cmd: Vec<String>,
    /// `KEY=value`, in the order of the file; a later one of the same key replaces the earlier.
    pub(crate) env: Vec<(String, String)>,
    /// `80/tcp`, as the image configuration writes it.
    pub(crate) expose: Vec<String>,
    pub(crate) user: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
}

/// One `COPY`: patterns relative to the context, and where they go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Copy {
    /// The line, for errors found later.
    pub(crate) line: usize,
    pub(crate) sources: Vec<String>,
    /// Absolute. A directory when it ends in `/` or there are several sources.
    pub(crate) target: String,
    /// Permission bits for all that is copied.
    pub(crate) chmod: Option<u32>,
}

/// What is refused, and in which line (counted from 1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub(crate) struct ContainerfileError {
    pub(crate) line: usize,
    pub(crate) what: String,
}

/// Reads a Containerfile.
pub(crate) fn parse(text: &str) -> Result<Containerfile, ContainerfileError> {
    let mut file = Containerfile::default();
    let mut from = false;
    for (line, text) in logical_lines(text) {
        let refuse = |what: String| ContainerfileError { line, what };
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text.as_str(), ""));
        let rest = rest.trim();
        let word = word.to_ascii_uppercase();
        if rest.contains('$') {
            return Err(refuse("variables ($) are not expanded here".into()));
        }
        if rest.is_empty() {
            return Err(refuse(format!("{word} says nothing")));
        }
        match (word.as_str(), from) {
            ("FROM", false) if rest == "scratch" => from = true,
            ("FROM", false) => return Err(refuse(format!("FROM {rest}: only FROM scratch"))),
            ("FROM", true) => return Err(refuse("a second FROM: only one stage".into())),
            (_, false) => return Err(refuse(format!("{word} before FROM scratch"))),
            ("COPY", true) => file.copies.push(copy(line, rest).map_err(refuse)?),
            ("ENTRYPOINT", true) => file.entrypoint = list(&word, rest).map_err(refuse)?,
            ("CMD", true) => file.cmd = list(&word, rest).map_err(refuse)?,
            ("ENV", true) => {
                for (key, value) in pairs(&word, rest).map_err(refuse)? {
                    file.env.retain(|(old, _)| *old != key);
                    file.env.push((key, value));
                }
            }
            ("LABEL", true) => file.labels.extend(pairs(&word, rest).map_err(refuse)?),
            ("EXPOSE", true) => {
                for port in rest.split_whitespace() {
                    file.expose.push(expose(port).map_err(refuse)?);
                }
            }
            ("USER", true) => file.user = Some(rest.to_owned()),
            (_, true) => return Err(refuse(format!("{word} is not supported here"))),
        }
    }
    if !from {
        return Err(ContainerfileError { line: 1, what: "no FROM scratch".into() });
    }
    Ok(file)
}

/// Lines without comments and blanks, continuations joined; each with the number of its first.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        // Comments and blank lines may also stand inside a continued instruction.
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (body, continued) = match line.strip_suffix('\\') {
            Some(body) => (body.trim_end(), true),
            None => (line, false),
        };
        let (first, mut joined) = open.take().unwrap_or((i + 1, String::new()));
        if !joined.is_empty() {
            joined.push(' ');
        }
        joined.push_str(body);
        if continued {
            open = Some((first, joined));
        } else {
            lines.push((first, joined));
        }
    }
    lines.extend(open);
    lines
}

fn copy(line: usize, rest: &str) -> Result<Copy, String> {
    let mut rest = rest;
    let mut chmod = None;
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, after) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
        rest = after.trim_start();
        match flag.split_once('=') {
            Some(("chmod", mode)) => {
                let mode = u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o7777);
                chmod = Some(mode.ok_or("--chmod wants an octal mode, as 0755")?);
            }
            _ => return Err(format!("COPY --{flag} is not supported here")),
        }
    }
    let mut words: Vec<String> = if rest.starts_with('[') {
        list("COPY", rest)?
    } else {
        rest.split_whitespace().map(str::to_owned).collect()
    };
    let target = words.pop().filter(|_| !words.is_empty());
    let target = target.ok_or("COPY wants a source and a target")?;
    if !target.starts_with('/') {
        return Err(format!("COPY to {target:?}: write the target from /"));
    }
    if target.split('/').chain(words.iter().flat_map(|w| w.split('/'))).any(|part| part == "..") {
        return Err("COPY with ..: only what lies in the context".into());
    }
    if words.len() > 1 && !target.ends_with('/') {
        return Err(format!("COPY of several sources to {target:?}: end the target in /"));
    }
    Ok(Copy { line, sources: words, target, chmod })
}

fn list(word: &str, rest: &str) -> Result<Vec<String>, String> {
    serde_json::from_str(rest)
        .map_err(|_| format!("{word} wants a JSON list of strings: the image has no shell"))
}

/// `KEY=value KEY="two words"`; a backslash takes the next character as it is.
fn pairs(word: &str, rest: &str) -> Result<Vec<(String, String)>, String> {
    let mut found = Vec::new();
    let mut current = String::new();
    let mut quote: Option<char> = None;
    let mut chars = rest.chars();
    let mut words = Vec::new();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => {
                current.push(chars.next().ok_or(format!("{word} ends in a backslash"))?);
            }
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (c, None) if c.is_whitespace() => words.push(std::mem::take(&mut current)),
            (c, None | Some(_)) => current.push(c),
        }
    }
    if quote.is_some() {
        return Err(format!("{word} has an open quote"));
    }
    words.push(current);
    for pair in words.into_iter().filter(|w| !w.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or(format!("{word} wants KEY=value"))?;
        if key.is_empty() {
            return Err(format!("{word} has a value without a key"));
        }
        found.push((key.to_owned(), value.to_owned()));
    }
    Ok(found)
}

fn expose(port: &str) -> Result<String, String> {
    let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
    let number: u16 = number.parse().map_err(|_| format!("EXPOSE {port}: not a port"))?;
    match protocol {
        "tcp" | "udp" => Ok(format!("{number}/{protocol}")),
        _ => Err(format!("EXPOSE {port}: tcp or udp")),
    }
}
