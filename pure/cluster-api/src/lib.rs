//! The custom resources, labels, annotations and validation rules of a cluster (types only).

#![forbid(unsafe_code)]
