import BlockReplication
import Hypervisors
import SiteModel

/// What must hold of a hypervisor and the agent beside it.
enum HostChecks {
    /// Seconds that a clock may be off without a word, and those from which nothing that it says about time is true: the
    /// shortest cycle.
    static let skewNoticed = 2.0
    static let skewTolerated = 30.0
    /// What an agent runs, with the package that has it.
    static let programs = ["qemu-img": "qemu-utils", "qemu-nbd": "qemu-utils"]

    static let all: [Check<HostFacts>] = hypervisor + agent + guards + store + between

    private static let hypervisor: [Check<HostFacts>] = [
        Check(
            "libvirt-answers", .host, "The host's libvirt answers.", source: "3, row 9",
            fix: "Start libvirtd at the host, and see that this user may use its socket."
        ) { facts in
            switch facts.libvirt {
            case .known(let information): .ok("it calls itself '\(information.hostName)'")
            case .unknown(let reason): .fail(reason)
            }
        },
        Check(
            "libvirt-version", .host, "libvirt is new enough for incremental backups.", source: "3, rows 1 and 9",
            fix: "Upgrade libvirt at the host."
        ) { facts in
            facts.libvirt.judged { VersionRule.libvirt.judge($0.libraryVersion) }
        },
        Check(
            "qemu-version", .host, "QEMU is new enough for the overlays that points are made of.",
            source: "3, rows 1 and 9", fix: "Upgrade QEMU at the host."
        ) { facts in
            facts.libvirt.judged { VersionRule.qemu.judge($0.hypervisorVersion) }
        },
        Check(
            "backup-capability", .host, "libvirt can make incremental backups with the host's QEMU.",
            source: "3, row 9; replication 2",
            fix: "Upgrade libvirt and QEMU at the host: without it no change is tracked."
        ) { facts in
            facts.capabilities.judged { capabilities in
                switch (capabilities.emulator, capabilities.supportsBackup) {
                case (nil, _): .fail("libvirt knows no QEMU there", fix: "apt-get install qemu-system-x86 at the host")
                case (_, false?): .fail("libvirt says that it cannot, with \(capabilities.emulator ?? "QEMU")")
                case (_, nil): .warn("libvirt does not say whether it can", fix: "try it: protect a small VM there")
                case (let emulator?, true?): .ok("yes, with \(emulator)")
                }
            }
        },
        Check(
            "host-in-cloud", .host, "The host belongs to a cloud and has VMs, or receives replicas.",
            source: "3, row 10", fix: "Put it into a cloud: server:cloud { name = ..., hosts = { ... } }."
        ) { facts in
            if facts.clouds.isEmpty { return .warn("it is in no cloud: only hosts alone can replicate its VMs") }
            let clouds = "in \(facts.clouds.joined(separator: ", "))"
            return .ok(facts.vms.value.map { "\(clouds), \($0) VM\($0 == 1 ? "" : "s")" } ?? clouds)
        },
    ]

    private static let agent: [Check<HostFacts>] = [
        Check(
            "agent-answers", .host, "The host's agent answers at its control socket.", source: "3, row 21",
            fix: "Start it there: perilune agent --site ... --socket ... --listen ... --store ... --tls ..."
        ) { facts in
            switch facts.agent {
            case .known(let status): .ok("process \(status.processID) at \(facts.host.agentSocket)")
            case .unknown(let reason):
                .fail(
                    reason,
                    fix: "Start it at the host: perilune agent --site \(facts.host.site) --socket "
                        + "\(facts.host.agentSocket) --listen \(facts.host.agentAddress) --store \(facts.host.store) --tls FILE"
                )
            }
        },
        Check(
            "agent-version", .host, "The agent is of this program's version.", source: "3, row 5",
            fix: "Install the same version of perilune at the host and start its agent again."
        ) { facts in
            facts.agent.judged { status in
                if facts.agentIsTooOld {
                    return .fail("the agent, of version \(status.version), does not know what it is asked")
                }
                return status.version == facts.engineVersion
                    ? .ok("version \(status.version)")
                    : .fail("the agent has version \(status.version), this program \(facts.engineVersion)")
            }
        },
        Check(
            "agent-place", .host, "The agent is the one that the vault means: its site, store and address.",
            source: "3, row 21", fix: "Start the agent with what the vault says, or register the host as it is."
        ) { facts in
            facts.agent.judged { status in
                var wrong: [String] = []
                if status.site != facts.host.site {
                    wrong.append("it is of site '\(status.site)', the vault says '\(facts.host.site)'")
                }
                if status.store != facts.host.store {
                    wrong.append("it keeps points in \(status.store), the vault says \(facts.host.store)")
                }
                if let answers = facts.answers.value, answers.dataAddress != facts.host.agentAddress {
                    wrong.append(
                        "it tells senders to come to \(answers.dataAddress), the vault says \(facts.host.agentAddress)")
                }
                return wrong.isEmpty
                    ? .ok("site \(status.site), \(status.store)") : .fail(wrong.joined(separator: "; "))
            }
        },
        Check(
            "agent-programs", .host, "The programs that the agent runs are there.", source: "3, row 9",
            fix: "Install them at the host."
        ) { facts in
            facts.answers.judged { answers in
                let missing = answers.programs.filter { $0.path == nil }.map(\.name)
                guard !missing.isEmpty else {
                    return .ok(answers.programs.map(\.name).joined(separator: ", "))
                }
                let packages = Set(missing.compactMap { programs[$0] }).sorted().joined(separator: " ")
                return .fail(
                    "not in the agent's PATH: \(missing.joined(separator: ", "))",
                    fix: "At the host: apt-get install \(packages)")
            }
        },
        Check(
            "agent-tls", .host, "Disks' content reaches the agent encrypted, with a certificate that lasts.",
            source: "DESIGN 6",
            fix: "Make a certificate (perilune authority issue), and start the agent with --tls FILE."
        ) { facts in
            facts.answers.judged { TransportRule.judge($0, facts.host) }
        },
        Check(
            "clock-skew", .host, "The host's clock agrees with this machine's.", source: "3, row 20",
            fix: "Run a time service (chrony, systemd-timesyncd) at the host and at this machine."
        ) { facts in
            facts.skew.judged { skew in
                let words = "\(figure(abs(skew.seconds))) s \(skew.seconds < 0 ? "behind" : "ahead")"
                if skew.certain > skewTolerated {
                    return .fail("its clock is \(words): ages of points and missed cycles cannot be told")
                }
                if skew.certain > skewNoticed {
                    return .warn("its clock is \(words): ages of points are wrong by as much")
                }
                return .ok(abs(skew.seconds) < 0.1 ? "less than 0.1 s apart" : words)
            }
        },
    ]

    private static let guards: [Check<HostFacts>] = [
        Check(
            "start-hook", .host, "libvirt asks the host's records before it starts a protected VM.",
            source: "DESIGN 4; 2.4, rule 33",
            fix: "At the host, as root: perilune agent install-hook --store ... (the agent's store)."
        ) { facts in
            facts.answers.judged { answers in
                guard let hook = answers.startHook else { return .skipped("the agent does not look for it") }
                guard let problem = hook.problem else { return .ok(hook.path) }
                let runtime = hook.runtime == OwnershipRecords.defaultRuntime ? "" : " --runtime \(hook.runtime)"
                return .fail(
                    "the hook \(hook.path): \(problem); a copy that is not the owner could be started there",
                    fix: "At the host, as root: perilune agent install-hook --store \(answers.store.path)\(runtime)")
            }
        }
    ]

    private static let store: [Check<HostFacts>] = [
        Check(
            "store-writable", .host, "The agent can write into its store.", source: "3, row 15",
            fix: "Mount the store's file system for writing, and give the agent's user the right to write there."
        ) { facts in
            facts.answers.judged { answers in
                answers.store.writeFailure.map { .fail("nothing can be written into \(answers.store.path): \($0)") }
                    ?? .ok(answers.store.path)
            }
        },
        Check(
            "store-space", .host, "The store has room for the replicas that it holds.", source: "3, row 15",
            fix: "Free space there, or enlarge its file system."
        ) { facts in
            facts.agent.judged { status in
                let free = "\(bytes(status.freeBytes)) free in \(status.store)"
                if status.freeBytes < facts.storeNeeded {
                    return .fail("\(free); its replicas need \(bytes(facts.storeNeeded)) more")
                }
                if status.freeBytes < facts.storeNeededAtMost {
                    return .warn(
                        "\(free); enough for now, but its replicas' disks may grow by \(bytes(facts.storeNeededAtMost))"
                    )
                }
                return .ok(free)
            }
        },
        Check(
            "scratch-space", .host, "There is room for what guests overwrite while they are copied.",
            source: "DESIGN 6; replication 2",
            fix: "Free space in the store's file system: without scratch space there is no cycle."
        ) { facts in
            guard facts.scratchNeeded > 0 else { return .ok("nothing is replicated from here") }
            return facts.agent.judged { status in
                let free = "\(bytes(status.freeBytes)) free"
                return status.freeBytes < facts.scratchNeeded
                    ? .fail("\(free) in \(status.store); the largest VM needs \(bytes(facts.scratchNeeded))")
                    : .ok("\(free), \(bytes(facts.scratchNeeded)) needed")
            }
        },
        Check(
            "store-file-system", .host, "The store lies on a file system of the host's own.", source: "3, row 15",
            fix: "Keep points on a local disk: a share that is lost with the other site takes them along."
        ) { facts in
            facts.answers.judged { answers in
                guard let type = answers.store.fileSystem else { return .skipped("its type could not be told") }
                return isShared(type)
                    ? .warn("\(answers.store.path) is a \(type) mount, which fails with whatever serves it") : .ok(type)
            }
        },
        Check(
            "store-alone", .host, "No other host's agent writes the same store.", source: "DESIGN 4",
            fix:
                "Give each host a store of its own. If the folder was copied, remove its store-id and start the agent again."
        ) { facts in
            facts.answers.judged { _ in
                facts.storeSharedWith.isEmpty
                    ? .ok("its own")
                    : .fail("\(facts.storeSharedWith.joined(separator: " and ")) writes the same folder")
            }
        },
    ]

    /// What to do about a way that is closed; the commonest reason is that nobody listens at its end.
    private static func cure(_ cause: EndpointFailure.Cause, _ peer: String) -> String {
        switch cause {
        case .refused: "Start the agent of \(peer); if it runs, let firewalls pass the port, which one of them rejects."
        case .handshakeFailed:
            "Give both agents certificates of one authority, for the addresses they listen on: perilune authority issue."
        default: EndpointChecks.cure(cause, proxied: false)
        }
    }

    private static let between: [Check<HostFacts>] = [
        Check(
            "replication-port", .host, "The agent reaches the agents that it sends to.", source: "3, rows 12 and 13",
            fix: "Open the port in the firewalls between the two hosts, and look whether the other agent runs.",
            each: { facts in
                if facts.links.isEmpty { return [.ok("it sends to no other host")] }
                return facts.links.map { link in
                    link.outcome.judged { outcome in
                        outcome.failure.map {
                            .fail($0.message, fix: cure($0.cause, link.peer), about: "to \(link.peer)")
                        } ?? .ok("\(link.address), \(figure(outcome.seconds * 1000)) ms", about: "to \(link.peer)")
                    }
                }
            }),
        Check(
            "fence-command", .host, "The host can be ended for certain: its fence command is there.",
            source: "2.4, rule 33; DESIGN 4",
            fix: "Register it: vault:host { ..., fence = { \"/usr/sbin/fence_ipmilan\", ... } }."
        ) { facts in
            guard let program = facts.host.fenceAgent?.agent ?? facts.host.fence.first else {
                return .warn("there is none: an unplanned failover then needs your word that the host is lost")
            }
            return facts.fenceProblem.map { .fail($0, fix: "Install the program, or register the right one.") }
                ?? .ok(program)
        },
    ]
}
