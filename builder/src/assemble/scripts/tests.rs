use super::*;

fn postinst(package: &str, text: &str) -> Result<Vec<Effect>, Vec<String>> {
    let script = format!("#!/bin/sh\nset -e\n{text}\nexit 0\n");
    let scripts = Scripts { postinst: &script, ..Scripts::default() };
    let covered = cover(package, scripts);
    match covered.uncovered.into_iter().next() {
        None => Ok(covered.effects),
        Some(uncovered) => Err(uncovered.lines.into_iter().map(|(_, text)| text).collect()),
    }
}

/// The lines that are left of a script that has no reviewed row.
fn left(text: &str) -> Vec<String> {
    postinst("unheard-of", text).err().unwrap_or_default()
}

/// From docker.io 26.1.5 of Debian 13, shortened: the package's own lines, and one block of each debhelper tool.
const DOCKER: &str = r#"
case "$1" in
    configure)
        if [ -z "$2" ]; then
            # Make sure the "docker" system group exists for "docker.socket"
            if ! getent group docker >/dev/null 2>&1 ; then
                addgroup --system docker
            fi
        fi
        if dpkg --compare-versions "$2" le-nl '1.11.2~ds1-1'; then
            if [ "$(stat -c '%a' /etc/docker)" = '700' ]; then
                chmod 0755 /etc/docker
            fi
        fi
        ;;
    abort-*)
        # How'd we get here??
        exit 1
        ;;
    *)
        ;;
esac

# Automatically added by dh_apparmor/4.1.0-1
if [ "$1" = "configure" ]; then
    APP_PROFILE="/etc/apparmor.d/docker.io"
    if [ -f "$APP_PROFILE" ]; then
        install --mode 644 /dev/null "$LOCAL_APP_PROFILE"
    fi
fi
# End automatically added section
# Automatically added by dh_installsystemd/13.24.2
if [ "$1" = "configure" ] || [ "$1" = "abort-upgrade" ] ; then
	deb-systemd-helper unmask 'docker.service' >/dev/null || true
	if deb-systemd-helper --quiet was-enabled 'docker.service'; then
		deb-systemd-helper enable 'docker.service' >/dev/null || true
	fi
fi
# End automatically added section
"#;

/// From iptables 1.8.11 of Debian 13, shortened.
const IPTABLES: &str = r"
if [ $1 = configure ] || [ $1 = abort-upgrade ]; then
	update-alternatives \
	  --install /usr/sbin/iptables iptables /usr/sbin/iptables-legacy 10 \
	  --slave /usr/sbin/iptables-save iptables-save /usr/sbin/iptables-legacy-save
        update-alternatives \
          --install /usr/sbin/iptables iptables /usr/sbin/iptables-nft 20 \
          --slave /usr/sbin/iptables-save iptables-save /usr/sbin/iptables-nft-save
fi
";

#[test]
fn scripts_of_real_packages_give_known_effects() {
    assert_eq!(postinst("docker.io", DOCKER), Ok(vec![Effect::Sysusers("g docker - -".to_owned())]));
    let alternatives = postinst("iptables", &IPTABLES.replace("$1", "\"$1\"")).unwrap();
    assert_eq!(alternatives.len(), 2);
    assert!(alternatives.iter().all(|effect| matches!(effect, Effect::Alternative(_))));
    assert_eq!(postinst("x", ""), Ok(vec![]));
    assert_eq!(cover("x", Scripts::default()), Covered::default());
}

/// The only script that is not covered.
fn one(covered: Covered) -> Uncovered {
    let [uncovered] = <[Uncovered; 1]>::try_from(covered.uncovered).unwrap();
    uncovered
}

/// From login.defs, netbase and linux-image of Debian 13.
#[test]
fn reviewed_scripts_are_found_by_the_digest_of_the_lines_that_are_left() {
    let kernel = |version: &str, more: &str| {
        format!(
            "version={version}\nimage_path=/boot/vmlinuz-$version\nif [ \"$1\" != configure ]; then\n    exit 0\nfi\n\
             depmod $version\nif [ -f /lib/modules/$version/.fresh-install ]; then\n    change=install\nelse\n    change=upgrade\nfi\n\
             linux-update-symlinks $change $version $image_path\nrm -f /lib/modules/$version/.fresh-install\n{more}\
             linux-run-hooks image postinst $version $image_path -- \"$@\"\n"
        )
    };
    for version in ["6.12.107+deb13-cloud-amd64", "7.1.3+deb14-rt-amd64"] {
        assert_eq!(postinst(&format!("linux-image-{version}"), &kernel(version, "")), Ok(vec![]), "{version}");
    }
    let script = format!("#!/bin/sh -e\n{}", kernel("6.12.1-amd64", "touch /etc/new\n"));
    let uncovered = one(cover("linux-image-6.12.1-amd64", Scripts { postinst: &script, ..Scripts::default() }));
    assert!(uncovered.changed && uncovered.script == "postinst" && uncovered.digest.len() == 64);
    assert!(uncovered.lines.contains(&(15, "touch /etc/new".to_owned())), "{:?}", uncovered.lines);
}

#[test]
fn lines_in_branches_that_are_not_taken_are_removed() {
    for text in [
        "if [ -n \"$2\" ]; then\n  rm -rf /etc/x\nfi",
        "if [ \"$1\" = configure ] && [ -n \"$2\" ]; then rm /x; fi",
        "case \"$1\" in\n  triggered|upgrade)\n    rm /x\n  ;;\n  *)\n  ;;\nesac",
        "case \"$1\" in configure) ;;\n *) rm /x ;;\nesac",
        "if dpkg --compare-versions \"$2\" lt-nl 1.0; then\n  if [ -f /x ]; then\n    rm /x\n  fi\nfi",
        "if [ -d /run/systemd/system ]; then\n  touch /x\nelse\n  systemctl reload x || true\nfi",
        "unused() {\n  rm /x\n}",
        "A=b\nif [ -x /usr/bin/y ]; then\n  ldconfig\nelif [ -x /z ]; then\n  :\nfi",
        "quiet() {\n  echo hello\n}\nquiet \"$@\" || true",
    ] {
        let found = left(text);
        let only_call = found.len() == 1 && found[0].starts_with("quiet");
        assert!(found.is_empty() || only_call, "{text}: {found:?}");
    }
}

#[test]
fn lines_without_a_known_effect_are_left() {
    for (text, lines) in [
        ("rm -rf /etc/x", vec!["rm -rf /etc/x"]),
        ("if [ -z \"$2\" ]; then\n  touch /x\nfi", vec!["touch /x"]),
        ("if [ \"$1\" = \"configure\" ]; then\n  a\nelse\n  b\nfi", vec!["a"]),
        ("if [ -f /y ]; then\n  touch /x\nfi", vec!["if [ -f /y ]; then", "touch /x", "fi"]),
        ("if modify /x; then\n  :\nfi", vec!["if modify /x; then", "fi"]),
        ("do_it() {\n  touch /x\n}\ndo_it", vec!["do_it() {", "touch /x", "}", "do_it"]),
        ("case \"$1\" in\n  con*)\n    touch /x\n  ;;\nesac", vec!["touch /x"]),
        (
            "case \"$mode\" in\n  a)\n    touch /x\n  ;;\n  b) ;;\nesac",
            vec!["case \"$mode\" in", "a)", "touch /x", "esac"],
        ),
        ("for x in a b; do\n  touch /$x\ndone", vec!["for x in a b; do", "touch /$x", "done"]),
        // After a shift, `$1` has another value.
        (
            "shift\nif [ \"$1\" = no ]; then\n  touch /x\nfi",
            vec!["shift", "if [ \"$1\" = no ]; then", "touch /x", "fi"],
        ),
        // In a function, `$2` is an argument of the function.
        (
            "f() {\n  if [ -n \"$2\" ]; then\n    touch /x\n  fi\n}\nf a b",
            vec!["f() {", "if [ -n \"$2\" ]; then", "touch /x", "fi", "}", "f a b"],
        ),
        // The image must not get the effect of a command that may not run.
        (
            "if [ \"$RET\" = true ]; then\n  addgroup --system x\nfi",
            vec!["if [ \"$RET\" = true ]; then", "addgroup --system x", "fi"],
        ),
        // Blocks of unknown debhelper tools are parsed like the rest of the script.
        ("# Automatically added by dh_mystery/1\ntouch /x\n# End automatically added section", vec!["touch /x"]),
        // A block without an end hides no lines.
        ("# Automatically added by dh_makeshlibs/1\nldconfig\ntouch /x", vec!["touch /x"]),
        // A script whose structure cannot be parsed is left completely.
        (
            "if true\nthen touch /x; fi && (\nldconfig )",
            vec!["set -e", "if true", "then touch /x; fi && (", "ldconfig )", "exit 0"],
        ),
        ("ldconfig && touch /x", vec!["ldconfig && touch /x"]),
        ("echo x > /etc/y", vec!["echo x > /etc/y"]),
    ] {
        assert_eq!(left(text), lines, "{text}");
    }
}

#[test]
fn other_programs_and_unknown_triggers_are_not_covered() {
    let program = Scripts { preinst: "\u{7f}ELF", ..Scripts::default() };
    assert_eq!(one(cover("bash", program)).lines[0].1, "this is not a shell script; it has 4 bytes");
    let python = Scripts { postinst: "#!/usr/bin/python3\n", ..Scripts::default() };
    assert_eq!(one(cover("x", python)).script, "postinst");
    let triggers = |text| cover("x", Scripts { triggers: text, ..Scripts::default() });
    assert_eq!(triggers("activate-noawait anything\n# interest x\ninterest-noawait ldconfig\n"), Covered::default());
    let uncovered = one(triggers("interest ldconfig\ninterest-await /usr/share/glib-2.0/schemas\n"));
    assert_eq!(
        (uncovered.script, uncovered.lines),
        ("triggers", vec![(2, "interest-await /usr/share/glib-2.0/schemas".into())])
    );
}

#[test]
fn digests_do_not_depend_on_version_numbers() {
    for (word, without) in [
        ("version=6.12.107+deb13-cloud-amd64", "version=#"),
        ("\"$2\"", "\"$2\""),
        ("2.41;", "#;"),
        ("0755", "0755"),
        ("python3.13", "python#"),
        ("257", "257"),
    ] {
        assert_eq!(without_version(word), without, "{word}");
    }
}
