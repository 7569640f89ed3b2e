//! The same lock file gives the same bytes for every user, folder, time and environment. `cmp` compares all outputs. `alone.rs` does the
//! same for the docker host.

use crate::assemble_kit::tool;
use crate::build_kit::{Nobody, Small, blobs, done, same, superuser};
use std::{fs, process::Command, thread, time::Duration};

/// Shell scripts that start `berth` with another environment, umask, time zone, limit, or number of processors.
const SURROUNDINGS: [&str; 4] = [
    "umask 077; export TZ=Pacific/Kiritimati LANG=tr_TR.UTF-8 LC_ALL=tr_TR.UTF-8; exec \"$@\"",
    "umask 000; export TZ=:/nowhere LC_ALL=POSIX HOME=/nowhere USER=somebody HOSTNAME=elsewhere; exec \"$@\"",
    "exec taskset -c 0 \"$@\"",
    "ulimit -n 64; exec nice -n 19 \"$@\"",
];

#[test]
fn the_outputs_do_not_depend_on_the_environment() {
    let small = Small::new();
    done(&mut small.build("out", "cache"));
    for (number, script) in SURROUNDINGS.iter().enumerate() {
        // Every second build uses an empty cache and unpacks the packages again.
        let cache = if number % 2 == 0 { format!("cache-{number}") } else { "cache".to_owned() };
        let output = format!("elsewhere/{number}/output of a build");
        let build = small.build(&output, &cache);
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).arg(build.get_program()).args(build.get_args());
        done(command.current_dir(small.dir.path()).env_remove("SOURCE_DATE_EPOCH"));
        same(&small.path("out"), &small.path(&output));
        fs::remove_dir_all(small.path(&output)).unwrap();
    }
}

#[test]
fn the_outputs_do_not_depend_on_the_user_the_time_or_the_checkout() {
    let small = Small::new();
    done(&mut small.build("out", "cache"));
    blobs(&small.path("cache"), &small.path("fresh"));

    // Make a checkout like another user with another umask at another time. All modes, owners and times differ.
    tool("cp", &["-r", small.path("recipe").to_str().unwrap(), small.path("checkout").to_str().unwrap()]);
    tool("chmod", &["-R", "ug+w,go+rX", small.path("checkout").to_str().unwrap()]);
    for (path, date) in [
        ("checkout/overlays/own/etc/motd", "1970-01-02"),
        ("checkout/overlays/own/usr/bin", "2037-12-31"),
        ("checkout/small.toml", "2001-09-09"),
        ("checkout/small.lock", "2100-01-01"),
        ("bin/init", "1999-12-31"),
    ] {
        tool("touch", &["--date", date, small.path(path).to_str().unwrap()]);
    }
    // Wait until every file system stores a later second.
    thread::sleep(Duration::from_millis(1100));

    let (cache, output) = (small.path("fresh"), small.path("theirs"));
    let nobody = Nobody {
        source: &small.path("checkout"),
        programs: &small.path("bin"),
        cache: &cache,
        output: &output,
        prepare: "",
        around: "umask 027; exec env -i",
    };
    done(
        &mut nobody
            .run("-q --offline --mirror http://127.0.0.1:9 --cache /mnt/cache build -o /mnt/output/out small.toml"),
    );
    done(superuser("chmod").args(["-R", "a+rX"]).arg(&output));
    same(&small.path("out"), &output.join("out"));
}

/// fsck.erofs extracts a `[[device]]` of the recipe from the image, and stat shows it.
#[test]
fn a_device_of_the_recipe_is_a_device_in_the_image() {
    let small = Small::new();
    done(&mut small.build("out", "cache"));
    let (image, tree) = (small.path("out/small_1_x86_64.root.erofs"), small.path("tree"));
    done(superuser("fsck.erofs").arg(format!("--extract={}", tree.display())).arg("--preserve").arg(&image));
    let told = done(superuser("stat").args(["-c", "%F %a %u %g %Hr %Lr"]).arg(tree.join("usr/lib/own-device"))).stdout;
    assert_eq!(String::from_utf8(told).unwrap(), "character special file 640 0 0 1234 56789\n");
    done(superuser("rm").arg("-rf").arg(&tree));
}
