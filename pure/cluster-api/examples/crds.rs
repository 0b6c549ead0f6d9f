//! Writes the definitions of all kinds to `deploy/crds`: `cargo run -p cluster-api --example crds`.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/crds");
    std::fs::create_dir_all(&folder)?;
    for definition in cluster_api::definitions() {
        let name = definition.metadata.name.clone().unwrap_or_default();
        let file = folder.join(format!("{name}.yaml"));
        // Through a JSON value, whose keys are sorted, so that the same types give the same bytes.
        let value = serde_json::to_value(&definition)?;
        std::fs::write(&file, serde_saphyr::to_string(&value)?)?;
        println!("{}", file.display());
    }
    Ok(())
}
