extension CheckBook {
    /// A row of the reference's section 3 that has no check of its own here.
    package struct UncheckedRow: Sendable {
        package let row: Int
        package let what: String
        /// What stands for it.
        package let instead: String
    }

    /// Rows that mean something on Windows only, or that this version has nothing to check for.
    package static let unchecked: [UncheckedRow] = [
        UncheckedRow(
            row: 11, what: "Replica broker on a Windows cluster",
            instead: "There is no broker: each host has its own agent, and the vault says which host owns a VM."),
        UncheckedRow(
            row: 13, what: "NIC teaming and VLANs at the host; no IPv6",
            instead:
                "Bonds and VLANs are the host's business and libvirt's. IPv6 is allowed: `replication-port` tries the "
                + "address as it is registered."),
        UncheckedRow(
            row: 18, what: "Guest systems that Hyper-V supports",
            instead: "Any that QEMU runs: disks are copied whatever is on them. `nothing-passed-through` and "
                + "`firmware-state` refuse what is not on a disk."),
        UncheckedRow(
            row: 19, what: "Kerberos or certificates between hosts",
            instead:
                "With `perilune agent --tls`, agents show each other certificates of one authority (decisions/0021), and always a ticket of one transfer; control sockets belong to their user alone. `agent-tls` looks at the certificate. "
                + "`replication-port` shows that an agent of this version answers."),
        UncheckedRow(
            row: 22, what: "Paths, permissions and delegation for an offline first copy",
            instead:
                "The call tries them: a folder for carrying that is missing, unnamed or without room is refused before "
                + "anything is written, at the export and at the import. Agents need no delegation."),
        UncheckedRow(
            row: 25, what: "Static address pool of the management server",
            instead:
                "Pools are the vault's. A failover gives addresses to guests that read NoCloud data (cloud-init), and says "
                + "of others that they keep theirs (decisions/0011)."),
    ]

    /// The page of all checks, as Markdown; docs/checks.md is this text.
    package static func markdown() -> String {
        """
        # What `perilune doctor` checks

        This page is generated from the tables in `Sources/RecoveryEngine/Checks`; a test keeps it equal to them. Sources name \
        rows of section 3 of the collected facts about site recovery (prerequisites and support checks), other sections of \
        them, or the design.

        `perilune doctor` looks at everything that the vault knows; `perilune doctor OBJECT...` at the vault (`vault`), \
        servers, pairs, hosts or VMs by name. It changes nothing: the one thing it writes is a small file in each store, \
        which it removes. In scripts `server:check()`, `host:check()` and `vm:check()` return the same findings.

        | verdict | means | exit code |
        | --- | --- | --- |
        | `ok` | it holds | 0 |
        | `warn` | recovery works; something will hurt, or is not as it should be | 0, with `--strict` 3 |
        | `FAIL` | protection or recovery will not work, or cannot be trusted | 3 |
        | `skip` | nobody could look; the reason is said | 0 |

        Exit code 1 means that doctor could not do its work: an object that nobody knows, an endpoints file with a mistake.

        \(CheckedKind.allCases.map(section).joined(separator: "\n"))
        ## Endpoints

        `--endpoints FILE` names groups of endpoints, in the shape of `examples/endpoints.json`. Each is tried from the \
        vault's machine, which does the management servers' work, and from each host by its agent: name, TCP, the proxy's \
        CONNECT where one is set, TLS with the chain and the host name verified.

        | field | where | is | default |
        | --- | --- | --- | --- |
        | `groups` | file | list of groups | needed |
        | `name`, `purpose` | group | what it is called, and what it is for | `name` is needed |
        | `endpoints` | group | list of endpoints, or of host names | needed |
        | `ranges` | group | ranges (CIDR) that each resolved address must lie in | any address |
        | `host` | endpoint | name or number; a pattern cannot be tried | needed |
        | `port` | endpoint | 1 to 65535 | 443 |
        | `tls` | endpoint | whether a TLS server must answer | true |
        | `proxy` | file, group, endpoint | `host:port` of an HTTP proxy, or `direct` | direct |
        | `ca` | file, group, endpoint | file of certificates (PEM) of authorities, sent along to the agents | the machine's own |
        | `timeout_seconds` | file, group, endpoint | 0.1 to 30 | 5 |

        Authorities of your own go into `ca`: no certificate is taken without verification.

        ## Rows without a check

        | row | is about | what stands for it |
        | --- | --- | --- |
        \(unchecked.map { "| \($0.row) | \($0.what) | \($0.instead) |" }.joined(separator: "\n"))

        ## Limits that are lifted

        | reference | here |
        | --- | --- |
        | 16 disks a VM (row 16) | no limit; measured with \(VMChecks.measuredDisks), more is told of by `disk-count` |
        | no IPv6 (rows 13, 14) | allowed |
        | NFS and SMB stores (row 15) | allowed, with a warning (`store-file-system`) |

        """
    }

    private static func section(_ kind: CheckedKind) -> String {
        let titles: [CheckedKind: String] = [
            .vault: "The vault", .server: "Servers", .pair: "Pairs of clouds", .host: "Hosts", .vm: "VMs",
            .endpoint: "Each endpoint",
        ]
        let rows = all.filter { $0.kind == kind }.map {
            "| `\($0.id)` | \($0.sentence) | \($0.fix.replacing("|", with: "\\|")) | \($0.source) |"
        }
        return """
            ## \(titles[kind] ?? kind.rawValue)

            | check | holds when | else | source |
            | --- | --- | --- | --- |
            \(rows.joined(separator: "\n"))

            """
    }
}
