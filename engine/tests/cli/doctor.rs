//! `doctor`.

use std::os::unix::fs::PermissionsExt as _;

use crate::binary::Place;

#[test]
fn doctor_checks_and_never_shows_a_secret() {
    let place = Place::new();
    place.write("secret", "hunter2\n");
    let private = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(place.path("secret"), permissions).unwrap();
    };
    private(0o600);
    let arguments = ["doctor", "--json", "--secret", "file:secret", "--secret", "env:HOME"];
    let ran = place.run(arguments);
    let report = ran.object();
    assert_eq!((ran.code, &report["status"] == "fail"), (0, false), "{report}");
    let checks = report["checks"].as_array().unwrap();
    let find = |id: &str| checks.iter().find(|check| check["id"] == id).unwrap();
    for id in [
        "open_files",
        "memory",
        "digest_instructions",
        "protocol",
        "state_dir",
        "state_dir.free_space",
        "working_dir.rename_noreplace",
        "working_dir.o_tmpfile",
        "working_dir.copy_file_range",
        "working_dir.seek_hole",
        "working_dir.reflink",
    ] {
        assert!(find(id)["detail"].is_string(), "{id}");
    }
    assert_eq!(find("stdout")["detail"], "pipe");
    assert_eq!(find("secret")["detail"], "file:secret: yes");
    private(0o644);
    let ran = place.run([
        "doctor",
        "--secret",
        "file:secret",
        "--secret",
        "env:NO_SUCH",
        "--secret",
        "hunter2",
    ]);
    assert_eq!(ran.code, 4);
    assert_eq!(ran.text().matches("fail  secret").count(), 3, "{}", ran.text());
    assert!(!ran.text().contains("hunter2") && !ran.err.contains("hunter2"));
    let left: Vec<_> = std::fs::read_dir(place.path("")).unwrap().flatten().collect();
    assert_eq!(left.len(), 2, "{left:?}");
}
