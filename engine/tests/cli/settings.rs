//! Where settings come from, and which of them win.

use serde_json::{Value, json};

use crate::binary::{Place, Ran};
use crate::{last, with_tree};

fn origins(ran: &Ran) -> Value {
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.object()
}

/// Flags before environment before the project's file before the user's.
#[test]
fn settings_say_where_they_came_from() {
    let place = Place::new();
    place.write(".home/.config/migration-engine/config.toml",
        "jobs = 9\nprogress_ms = \"2s\"\nmemory_cap = \"64MiB\"\n[defaults]\nchecksum = \"md5\"\nverify = \"none\"\n");
    place.write(
        "migration-engine.toml",
        "jobs = 8\nprogress_ms = 900\n[defaults]\nchecksum = \"blake3\"\n",
    );
    let mut command = place.command(["config", "show", "--origin", "--json", "--jobs", "5"]);
    let all = origins(&Ran::of(
        command
            .env("MIGRATION_ENGINE_JOBS", "6")
            .env("MIGRATION_ENGINE_PROGRESS_MS", "700")
            .env("MIGRATION_ENGINE_DURABILITY", "crash"),
    ));
    let row =
        |name: &str| (all[name]["value"].clone(), all[name]["origin"].as_str().unwrap().to_owned());
    assert_eq!(row("jobs"), (json!(5), "flag --jobs".into()));
    assert_eq!(row("progress_ms"), (json!(700), "environment MIGRATION_ENGINE_PROGRESS_MS".into()));
    assert_eq!(row("defaults.checksum"), (json!("blake3"), "file migration-engine.toml".into()));
    assert_eq!(row("defaults.durability").1, "environment MIGRATION_ENGINE_DURABILITY");
    let (cap, origin) = row("memory_cap");
    assert!(
        cap == 64 << 20 && origin.ends_with(".config/migration-engine/config.toml"),
        "{origin}"
    );
    assert_eq!(row("log"), (json!("warn"), "default".into()));
    place.write("only.toml", "jobs = 3");
    for command in [
        &mut place.command(["config", "show", "--origin", "--json", "--config", "only.toml"]),
        place
            .command(["config", "show", "--origin", "--json"])
            .env("MIGRATION_ENGINE_CONFIG", "only.toml"),
    ] {
        let all = origins(&Ran::of(command));
        assert_eq!(all["jobs"], json!({"value": 3, "origin": "file only.toml"}));
        assert!(all.get("defaults.checksum").is_none());
    }
    let text = place.run(["config", "show", "--origin"]).text();
    assert!(text.contains("jobs = 8  # file migration-engine.toml"), "{text}");
}

/// A switch that is off in the environment is off, whatever a file says.
#[test]
fn off_is_not_absent() {
    let place = Place::new();
    place.write("own.toml", "allow_secret_command = true");
    let shown = |value: &str| {
        let mut command = place.command(["config", "show", "--json", "--config", "own.toml"]);
        let ran = Ran::of(command.env("MIGRATION_ENGINE_ALLOW_SECRET_COMMAND", value));
        ran.object()["allow_secret_command"].clone()
    };
    assert_eq!((shown("0"), shown("yes")), (json!(false), json!(true)));
}

#[test]
fn settings_reach_commands_and_commands_win() {
    let place = with_tree();
    place.write("migration-engine.toml", "[defaults]\nchecksum = \"sha256\"\n");
    let algorithm = |ran: Ran| last(&ran)["verify"]["algorithm"].clone();
    assert_eq!(algorithm(place.run(["copy", "in", "o1", "--json"])), "sha256");
    let mut command = place.command(["copy", "in", "o2", "--json"]);
    assert_eq!(algorithm(Ran::of(command.env("MIGRATION_ENGINE_CHECKSUM", "blake3"))), "blake3");
    let mut command = place.command(["copy", "in", "o3", "--json", "--checksum", "md5"]);
    assert_eq!(algorithm(Ran::of(command.env("MIGRATION_ENGINE_CHECKSUM", "blake3"))), "md5");
    place.write("cmds", "{\"op\":\"copy\",\"src\":\"in\",\"dst\":\"o4\"}");
    let mut command = place.command(["run", "cmds", "--json"]);
    assert_eq!(algorithm(Ran::of(command.env("MIGRATION_ENGINE_CHECKSUM", "crc32c"))), "crc32c");
}

#[test]
fn bad_configuration_is_refused_with_its_place() {
    let place = with_tree();
    let refused = |text: &str| {
        place.write("migration-engine.toml", text);
        let ran = place.run(["copy", "in", "out"]);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.err.contains("migration-engine.toml"), "{}", ran.err);
        ran.err
    };
    assert!(refused("job = 3").contains("did you mean jobs?"));
    assert!(refused("[defaults]\nchecksums = 1").contains("did you mean defaults.checksum?"));
    assert!(refused("jobs = 0").contains("at least 1"));
    assert!(refused("\njobs =").contains("line 2"));
    refused("allow_secret_command = true");
    assert!(!place.path("out").exists());
    std::fs::remove_file(place.path("migration-engine.toml")).unwrap();
    assert_eq!(place.run(["copy", "in", "out", "--config", "absent.toml"]).code, 2);
}
