use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::config::{parse_object, version_of};
use crate::{Added, Call, Config, Error, ErrorCode, Version};

/// How much standard input is read, in bytes. Configurations have a few kilobytes.
const MAX_STDIN: u64 = 4 << 20;

/// What a plugin answers when a call succeeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The result of ADD.
    Added(Added),
    /// Nothing to say: DEL, CHECK, GC and STATUS.
    Done,
}

/// What the runtime sees of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The one JSON value for standard output, or nothing.
    pub stdout: Option<Value>,
    /// Whether the program ends with success.
    pub success: bool,
}

/// Runs a plugin: environment and standard input to `handler`, its answer to standard output.
///
/// Standard output belongs to the protocol: nothing else may write to it. A panic in `handler` is
/// reported as an error like any other.
pub fn run(handler: impl FnOnce(Call) -> Result<Answer, Error>) -> ExitCode {
    // With panic = "abort" the hook is the last code that runs, so it writes the error itself.
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("{panic}");
        let error = Error::new(ErrorCode::Other(999), "the plugin failed, this is a bug")
            .with_details(panic.to_string());
        write_stdout(&error.to_json(Version::NEWEST));
    }));
    let env = |name: &str| std::env::var(name).ok();
    let mut stdin = Vec::new();
    let output = match std::io::stdin().lock().take(MAX_STDIN + 1).read_to_end(&mut stdin) {
        Ok(_) if stdin.len() as u64 > MAX_STDIN => failed(&too_long(), Version::NEWEST),
        Ok(_) => answer(&env, &stdin, handler),
        Err(error) => {
            let message = format!("standard input can't be read: {error}");
            failed(&Error::new(ErrorCode::Io, message), Version::NEWEST)
        }
    };
    let written = output.stdout.as_ref().is_none_or(write_stdout);
    if output.success && written { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The whole of a call without the outside world, as tests want it.
pub fn answer(
    env: &dyn Fn(&str) -> Option<String>,
    stdin: &[u8],
    handler: impl FnOnce(Call) -> Result<Answer, Error>,
) -> Output {
    let command = match env("CNI_COMMAND") {
        Some(command) if !command.is_empty() => command,
        Some(_) | None => {
            let error = Error::new(ErrorCode::InvalidEnvironment, "CNI_COMMAND is missing");
            return failed(&error, Version::NEWEST);
        }
    };
    if command == "VERSION" {
        return match versions(stdin) {
            Ok(versions) => Output { stdout: Some(versions), success: true },
            Err(error) => failed(&error, Version::NEWEST),
        };
    }
    let config = match Config::parse(stdin) {
        Ok(config) => config,
        Err(error) => return failed(&error, spoken(stdin)),
    };
    let version = config.version;
    let answer = Call::parse(&command, env, config).and_then(handler);
    match answer {
        Ok(Answer::Added(added)) => Output { stdout: Some(added.to_json(version)), success: true },
        Ok(Answer::Done) => Output { stdout: None, success: true },
        Err(error) => failed(&error, version),
    }
}

/// Section "VERSION": the input's version, or the newest if the input is empty or asks for one
/// that is not spoken: whoever asks wants to learn the list.
fn versions(stdin: &[u8]) -> Result<Value, Error> {
    let asked = match stdin.iter().all(u8::is_ascii_whitespace) {
        true => Version::NEWEST,
        false => version_of(&parse_object(stdin)?).unwrap_or(Version::NEWEST),
    };
    Ok(json!({
        "cniVersion": asked.as_str(),
        "supportedVersions": Version::ALL.map(Version::as_str),
    }))
}

/// The version to answer in when the configuration is refused.
fn spoken(stdin: &[u8]) -> Version {
    parse_object(stdin).and_then(|raw| version_of(&raw)).unwrap_or(Version::NEWEST)
}

fn too_long() -> Error {
    let message = format!("the network configuration is longer than {MAX_STDIN} bytes");
    Error::new(ErrorCode::Decoding, message)
}

fn failed(error: &Error, version: Version) -> Output {
    Output { stdout: Some(error.to_json(version)), success: false }
}

fn write_stdout(value: &Value) -> bool {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{value}").and_then(|()| stdout.flush()).is_ok()
}
