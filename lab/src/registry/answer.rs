//! One request to the registry and its answer.

use std::convert::Infallible;
use std::io::SeekFrom;
use std::path::Path;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, RANGE,
};
use hyper::{Method, Request, Response, StatusCode};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use crate::image::{MANIFEST, Store};

/// Read from disk and sent at a time, in bytes.
const CHUNK: usize = 256 * 1024;

type Body = BoxBody<Bytes, std::io::Error>;

/// What a path asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked<'a> {
    /// `/v2/`: is this a registry?
    Ping,
    /// `/v2/NAME/tags/list`
    Tags(&'a str),
    /// `/v2/NAME/manifests/REFERENCE`
    Manifest { name: &'a str, reference: &'a str },
    /// `/v2/NAME/blobs/DIGEST`
    Blob(&'a str),
}

/// Reads a path of the distribution API; a name may hold slashes.
pub(crate) fn asked(path: &str) -> Option<Asked<'_>> {
    let rest = path.strip_prefix("/v2")?;
    if rest.is_empty() || rest == "/" {
        return Some(Asked::Ping);
    }
    let (rest, last) = rest.strip_prefix('/')?.rsplit_once('/')?;
    let (name, kind) = rest.rsplit_once('/')?;
    if name.is_empty() || last.is_empty() {
        return None;
    }
    match kind {
        "manifests" => Some(Asked::Manifest { name, reference: last }),
        "blobs" => Some(Asked::Blob(last)),
        "tags" if last == "list" => Some(Asked::Tags(name)),
        _ => None,
    }
}

/// Answers one request; whatever it is, the answer is an HTTP response.
pub(crate) async fn answer<B>(
    store: &Store,
    request: &Request<B>,
) -> Result<Response<Body>, Infallible> {
    let head = match *request.method() {
        Method::GET => false,
        Method::HEAD => true,
        _ => {
            let why = "this registry is read only";
            return Ok(error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", why));
        }
    };
    let Some(asked) = asked(request.uri().path()) else {
        return Ok(error(StatusCode::NOT_FOUND, "NOT_FOUND", "no such path"));
    };
    let registry = request.uri().query().and_then(namespace);
    let range = request.headers().get(RANGE);
    let answer = match asked {
        Asked::Ping => Ok(json(StatusCode::OK, "{}")),
        Asked::Tags(name) => Ok(tags(name)),
        Asked::Manifest { name, reference } => {
            manifest(store, registry.as_deref(), name, reference, head).await
        }
        Asked::Blob(digest) => match store.blob(digest) {
            Some(path) => file(&path, digest, "application/octet-stream", range, head).await,
            None => Ok(error(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", digest)),
        },
    };
    Ok(answer.unwrap_or_else(|problem| {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        error(status, "UNKNOWN", &format!("{problem:#}"))
    }))
}

/// The value of `ns` in a query: the registry that containerd meant.
fn namespace(query: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("ns="))?;
    // The only escape that a host and port need.
    Some(value.replace("%3A", ":").replace("%3a", ":"))
}

async fn manifest(
    store: &Store,
    registry: Option<&str>,
    name: &str,
    reference: &str,
    head: bool,
) -> anyhow::Result<Response<Body>> {
    let digest = if reference.starts_with("sha256:") {
        Some(reference.to_owned())
    } else {
        store.resolve(registry, name, reference)?.map(|descriptor| descriptor.digest)
    };
    match digest.and_then(|digest| Some((store.blob(&digest)?, digest))) {
        Some((path, digest)) => file(&path, &digest, MANIFEST, None, head).await,
        None => {
            let registry = registry.map(|r| format!("{r}/")).unwrap_or_default();
            let what = format!("the lab has no image {registry}{name}:{reference}");
            Ok(error(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", &what))
        }
    }
}

/// A short name answers every tag, so there is no list of them.
fn tags(name: &str) -> Response<Body> {
    let text = serde_json::json!({"name": name, "tags": []}).to_string();
    json(StatusCode::OK, &text)
}

async fn file(
    path: &Path,
    digest: &str,
    kind: &'static str,
    range: Option<&HeaderValue>,
    head: bool,
) -> anyhow::Result<Response<Body>> {
    let mut file = File::open(path).await?;
    let length = file.metadata().await?.len();
    let part = range.and_then(|range| range.to_str().ok()).and_then(|text| part(text, length));
    let response = Response::builder()
        .header("Docker-Distribution-Api-Version", "registry/2.0")
        .header("Docker-Content-Digest", digest)
        .header(ACCEPT_RANGES, "bytes")
        .header(CONTENT_TYPE, kind);
    let (response, first, count) = match part {
        Some(Part::Whole) | None => (response, 0, length),
        Some(Part::Bytes { first, last }) => (
            response
                .status(StatusCode::PARTIAL_CONTENT)
                .header(CONTENT_RANGE, format!("bytes {first}-{last}/{length}")),
            first,
            last - first + 1,
        ),
        Some(Part::Outside) => {
            let mut outside = error(StatusCode::RANGE_NOT_SATISFIABLE, "RANGE_INVALID", digest);
            let range = HeaderValue::from_str(&format!("bytes */{length}"))?;
            outside.headers_mut().insert(CONTENT_RANGE, range);
            return Ok(outside);
        }
    };
    let response = response.header(CONTENT_LENGTH, count);
    if head {
        return Ok(response.body(empty())?);
    }
    file.seek(SeekFrom::Start(first)).await?;
    let chunks = ReaderStream::with_capacity(file.take(count), CHUNK);
    let frames = futures::StreamExt::map(chunks, |chunk| chunk.map(Frame::data));
    Ok(response.body(BodyExt::boxed(StreamBody::new(frames)))?)
}

/// The part of a blob that a Range header asks for (RFC 9110 §14.2).
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    Bytes { first: u64, last: u64 },
    Outside,
}

/// One range of bytes; anything else is ignored, as the RFC allows, and the whole is sent.
pub(crate) fn part(range: &str, length: u64) -> Option<Part> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let first: u64 = first.parse().ok()?;
    let last: u64 = if last.is_empty() { u64::MAX } else { last.parse().ok()? };
    if last < first {
        return None;
    }
    let last = last.min(length.saturating_sub(1));
    Some(match (first, last) {
        (first, _) if first >= length => Part::Outside,
        (0, last) if last + 1 == length => Part::Whole,
        (first, last) => Part::Bytes { first, last },
    })
}

fn error(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    let errors = serde_json::json!({"errors": [{"code": code, "message": message}]});
    json(status, &errors.to_string())
}

fn json(status: StatusCode, text: &str) -> Response<Body> {
    let whole = Full::new(Bytes::copy_from_slice(text.as_bytes()));
    let mut response = Response::new(whole.map_err(|never: Infallible| match never {}).boxed());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("Docker-Distribution-Api-Version", HeaderValue::from_static("registry/2.0"));
    response
}

fn empty() -> Body {
    Full::new(Bytes::new()).map_err(|never: Infallible| match never {}).boxed()
}
