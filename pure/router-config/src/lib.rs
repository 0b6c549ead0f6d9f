//! The router's document: YAML or JSON to a checked configuration, each error with its place.

#![forbid(unsafe_code)]
