//! Generates the gRPC code. The protos are compiled in Rust, so no protoc is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(["sart/v1/router.proto", "sart/v1/fib.proto"], ["proto"])?;
    // What each server's gRPC reflection answers from: its own calls alone.
    let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    for server in ["router", "fib"] {
        let own = protox::compile([format!("sart/v1/{server}.proto")], ["proto"])?;
        let bytes = prost::Message::encode_to_vec(&own);
        std::fs::write(out.join(format!("{server}-descriptors.bin")), bytes)?;
    }
    tonic_prost_build::configure()
        .type_attribute(".", "#[derive(serde::Serialize)]")
        .field_attribute(
            "sart.v1.Neighbor.state",
            "#[serde(serialize_with = \"crate::words::serialize_state\")]",
        )
        .field_attribute(
            "sart.v1.SessionEvent.state",
            "#[serde(serialize_with = \"crate::words::serialize_state\")]",
        )
        .field_attribute(
            "sart.v1.SessionError.state",
            "#[serde(serialize_with = \"crate::words::serialize_state\")]",
        )
        .field_attribute(
            "sart.v1.ResetRequest.kind",
            "#[serde(serialize_with = \"crate::words::serialize_reset\")]",
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
