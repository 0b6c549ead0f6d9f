//! gRPC reflection: what the API looks like, for tools that know nothing of it.

use tonic::transport::server::Router;
use tonic_reflection::pb::{v1, v1alpha};
use tonic_reflection::server::Builder;

use crate::guard::MAX_READ;

/// Adds reflection on a server's own calls and on reflection itself; in both versions, since tools
/// ask for either.
pub(crate) fn with_reflection(router: Router, descriptors: &[u8]) -> Router {
    let new = builder(descriptors).build_v1().ok();
    let old = builder(descriptors).build_v1alpha().ok();
    router
        .add_optional_service(new.map(|new| new.max_decoding_message_size(MAX_READ)))
        .add_optional_service(old.map(|old| old.max_decoding_message_size(MAX_READ)))
}

fn builder(descriptors: &[u8]) -> Builder<'_> {
    Builder::configure()
        .register_encoded_file_descriptor_set(descriptors)
        .register_encoded_file_descriptor_set(v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(v1alpha::FILE_DESCRIPTOR_SET)
        .include_reflection_service(false)
}
