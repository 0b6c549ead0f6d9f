//! Generates the gRPC code. The protos are compiled in Rust, so no protoc is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(["sart/v1/router.proto"], ["proto"])?;
    tonic_prost_build::configure()
        .type_attribute(".", "#[derive(serde::Serialize)]")
        .field_attribute(
            "sart.v1.Neighbor.state",
            "#[serde(serialize_with = \"crate::words::serialize_state\")]",
        )
        .field_attribute(
            "sart.v1.Session.by",
            "#[serde(serialize_with = \"crate::words::serialize_by\")]",
        )
        .field_attribute(
            "sart.v1.SessionError.by",
            "#[serde(serialize_with = \"crate::words::serialize_by\")]",
        )
        .compile_fds(files)?;
    Ok(())
}
