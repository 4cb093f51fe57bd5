import BlockReplication
import Hypervisors
import SiteModel

/// What must hold of a VM that is protected, or is to be.
enum VMChecks {
    /// The largest number of disks that a VM was replicated and failed over with in this project's own tests.
    static let measuredDisks = 32
    /// A test failover that is older no longer counts.
    static let testDays = 30.0

    static let all: [Check<VMFacts>] = disks + guest + target

    private static let disks: [Check<VMFacts>] = [
        Check(
            "vm-present", .vm, "The host that owns the VM knows it.", source: "3, row 10",
            fix: "See: perilune status VM; if its host was reinstalled, fail it over."
        ) { facts in
            switch facts.domain {
            case .known(let domain): .ok("\(domain.power.rawValue) at \(facts.host)")
            case .unknown(let reason): .fail(reason)
            }
        },
        Check(
            "disks-are-files", .vm, "Each disk that the guest writes is a file.", source: "3, rows 15 to 17",
            fix:
                "Copy it into a qcow2 file (qemu-img convert), detach it, or make it read-only: only files are replicated."
        ) { facts in
            facts.writableDisks.judged { disks in
                if disks.isEmpty { return .fail("it has no disk that could be replicated", fix: "Give it a disk.") }
                let others = disks.filter { $0.path == nil || $0.source != "file" }
                return others.isEmpty
                    ? .ok(listed(disks.map(\.target)))
                    : .fail(listed(others.map { "\($0.target) is of type \($0.source)" }))
            }
        },
        Check(
            "disks-track-changes", .vm, "Each disk is qcow2 of version 3, in which changes can be tracked.",
            source: "3, row 16; replication 2",
            fix: "While the VM is off: qemu-img convert -O qcow2, and name the new file in its definition.",
            each: judgeFormats),
        Check(
            "disks-not-encrypted", .vm, "No disk is encrypted by QEMU.", source: "3, row 17",
            fix: "Encrypt within the guest instead: what it writes is replicated as it is."
        ) { facts in
            facts.definition.judged { definition in
                let paths = facts.images.value ?? [:]
                let encrypted = definition.disks.filter { disk in
                    definition.encryptedDisks.contains(disk.target)
                        || disk.path.flatMap { paths[$0]?.isEncrypted } ?? false
                }.map(\.target)
                return encrypted.isEmpty
                    ? .ok("none is")
                    : .fail("\(listed(encrypted)): its key does not travel, and the replica could not be opened")
            }
        },
        Check(
            "disks-not-shared", .vm, "No disk is shared with another VM.", source: "3, row 17",
            fix: "Take <shareable/> away, or detach the disk: a point of one VM is no consistent state of the other."
        ) { facts in
            facts.writableDisks.judged { disks in
                let shared = disks.filter(\.isShareable).map(\.target)
                return shared.isEmpty ? .ok("none is") : .fail(listed(shared))
            }
        },
        Check(
            "nothing-passed-through", .vm, "The guest has no device or folder of its host in its own hands.",
            source: "3, rows 17 and 18",
            fix: "Detach it: the target host does not have it, and the replica would not start."
        ) { facts in
            facts.definition.judged { $0.passedThrough.isEmpty ? .ok("nothing") : .fail(listed($0.passedThrough)) }
        },
        Check(
            "disk-count", .vm, "It has no more disks than were measured.", source: "3, row 16",
            fix: "Try a test failover: the reference's limit of 16 is lifted, and nothing here limits the number."
        ) { facts in
            facts.writableDisks.judged { disks in
                disks.count > measuredDisks
                    ? .warn("\(disks.count) disks; measured were up to \(measuredDisks)")
                    : .ok("\(disks.count); up to \(measuredDisks) were measured")
            }
        },
        Check(
            "disks-as-recorded", .vm, "The disks are those that are replicated: none was added or taken away.",
            source: "3, row 17 (hot add and remove)",
            fix: "Let the next cycle take it in; see what it says of a disk that it cannot take."
        ) { facts in
            guard let relationship = facts.relationship else { return .skipped("the VM is not replicated") }
            return facts.writableDisks.judged { disks in
                let (now, recorded) = (Set(disks.map(\.target)), Set(relationship.disks.map(\.target)))
                let leftOut = Set(relationship.excludedDisks ?? [])
                let words = [
                    ("added", now.subtracting(recorded).subtracting(leftOut)),
                    ("taken away", recorded.subtracting(now)),
                ]
                .filter { !$0.1.isEmpty }.map { "\($0.0): \(listed($0.1.sorted()))" }
                if let reasons = relationship.unreplicated {
                    return .fail(
                        reasons.sorted { $0.key < $1.key }.map { "\($0.key) is not replicated: \($0.value)" }
                            .joined(separator: "; "))
                }
                return words.isEmpty ? .ok(listed(now.sorted())) : .warn(words.joined(separator: "; "))
            }
        },
        Check(
            "firmware-state", .vm,
            "What the VM keeps outside its disks can go with its points: UEFI variables, a TPM's state.",
            source: "3, row 16 (generation 2)",
            fix: "Keep UEFI variables in a file, and give the VM an emulated TPM without a secret of its host."
        ) { facts in
            facts.definition.judged { definition in
                if let obstacle = definition.firmwareObstacle {
                    return .fail(
                        "it \(obstacle.what)", fix: "\(obstacle.way.prefix(1).uppercased())\(obstacle.way.dropFirst())."
                    )
                }
                return .ok(
                    definition.firmwareState.isEmpty ? "it keeps nothing there" : listed(definition.firmwareState))
            }
        },
    ]

    private static let guest: [Check<VMFacts>] = [
        Check(
            "guest-addresses", .vm, "A guest that is to take other addresses elsewhere is told all of them.",
            source: "5.3", fix: "See: vm:nics(); set what is missing with vm:set_nic."
        ) { facts in
            let settings = facts.relationship?.nicSettings ?? []
            guard !settings.isEmpty else { return .ok("it keeps its addresses") }
            return facts.definition.judged { definition in
                let macs = definition.nics.map { $0.mac.lowercased() }
                let gone = settings.map(\.mac).filter { !macs.contains($0) }
                if !gone.isEmpty { return .fail("there are settings for \(listed(gone)), which the VM does not have") }
                let silent = macs.filter { mac in !settings.contains { $0.mac == mac } }
                if !silent.isEmpty {
                    return .warn(
                        "\(listed(silent)) has no settings while others have: cloud-init leaves it without an address")
                }
                return .warn(
                    "told by NoCloud data in a CD drive; whether cloud-init reads it there cannot be seen from outside",
                    fix: "Install cloud-init in the guest with the NoCloud data source, and try it by a test failover; "
                        + "without it the guest keeps its address.")
            }
        },
        Check(
            "guest-agent", .vm, "A guest agent answers.", source: "3, row 24",
            fix: "Install qemu-guest-agent in the guest, and give the VM the channel org.qemu.guest_agent.0."
        ) { facts in
            facts.readiness.judged { readiness in
                let without = "without it no file system is frozen"
                return switch readiness.agent {
                case .answers: .ok("it does")
                case .notRunning: .skipped("the VM is not running")
                case .silent:
                    .warn("nobody answers: \(without)", fix: "Install and start qemu-guest-agent in the guest.")
                case .absent: .warn("the VM has no channel for one: \(without)")
                }
            }
        },
        Check(
            "no-snapshots", .vm, "libvirt keeps no snapshots of the VM.",
            source: "B-BPA (recovery snapshots); replication 2",
            fix: "virsh snapshot-list VM, then merge or delete them: libvirt makes no checkpoint beside them."
        ) { facts in
            facts.readiness.judged { readiness in
                readiness.snapshots == 0 ? .ok("none") : .fail("it has \(readiness.snapshots)")
            }
        },
        Check(
            "not-paused", .vm, "The VM is not paused.", source: "B-BPA (no VM paused)",
            fix: "virsh resume VM; if QEMU paused it, see what its disks' file system says."
        ) { facts in
            facts.domain.judged { $0.power == .paused ? .warn("it is") : .ok($0.power.rawValue) }
        },
        Check(
            "autostart-off", .vm, "No host starts the VM by itself.", source: "DESIGN 4",
            fix: "virsh autostart --disable VM at that host: after an outage two copies would run."
        ) { facts in
            guard facts.relationship != nil else { return .skipped("the VM is not replicated") }
            return facts.domain.judged { domain in
                var places = domain.autostart ? [facts.host] : []
                if let target = facts.target.value, let domains = target.domains.value,
                    domains.contains(where: { $0.uuid == domain.uuid && $0.autostart })
                {
                    places.append(target.name)
                }
                return places.isEmpty ? .ok("off") : .fail("autostart is on at \(listed(places))")
            }
        },
        Check(
            "policy-of-vm", .vm, "The policy that the VM is replicated by is there.", source: "1.10",
            fix: "Make a policy of that kind and pair the clouds under it, or replicate the VM under another."
        ) { facts in
            guard facts.relationship != nil else { return .skipped("the VM is not replicated") }
            return facts.policyExists ? .ok("yes") : .fail("the vault has it no more")
        },
        Check(
            "test-failover", .vm, "A test failover has succeeded within \(Int(testDays)) days.",
            source: "B-BPA (test failover after the first copy, and monthly)",
            fix: "perilune test VM, look at the copy, then perilune clean-up-test VM."
        ) { facts in
            guard let relationship = facts.relationship, relationship.newestGeneration != nil else {
                return .skipped("the VM has no recovery point")
            }
            let fix = "perilune test \(facts.name), look at the copy, then perilune clean-up-test \(facts.name)."
            guard let last = facts.lastTest else {
                return .warn("none ever has: that it boots there is not shown", fix: fix)
            }
            let days = facts.now.seconds(since: last) / 86_400
            return days > testDays
                ? .warn("the last was \(Int(days)) days ago", fix: fix) : .ok("\(Int(days)) days ago")
        },
    ]

    private static let target: [Check<VMFacts>] = [
        Check(
            "nics-on-networks", .vm, "Each NIC is on a network of libvirt's.", source: "3, rows 6 and 14",
            fix: "Define a libvirt network for the bridge (<forward mode='bridge'/>) and put the NIC on it."
        ) { facts in
            facts.definition.judged { definition in
                let loose = definition.nics.filter { $0.network == nil }.map(\.mac)
                return loose.isEmpty
                    ? .ok(definition.nics.isEmpty ? "it has none" : listed(definition.nics.compactMap(\.network)))
                    : .warn("\(listed(loose)): such a NIC starts unconnected after a failover")
            }
        },
        Check(
            "vm-network-mapped", .vm, "Each of its networks has one at the target, which is up.",
            source: "3, rows 6 and 26",
            fix: "cloud:map_network { from = ..., to = ... }; a NIC without one starts unconnected after a failover.",
            each: judgeNetworks),
        Check(
            "target-name-free", .vm, "No other VM at the target has its name or its UUID.", source: "1.6; DESIGN 4",
            fix: "Rename or undefine the other VM: the replica could not be defined there."
        ) { facts in
            withTarget(facts) { target in
                target.domains.judged { domains in
                    facts.domain.judged { own in
                        if domains.contains(where: { $0.name == own.name && $0.uuid != own.uuid }) {
                            return .fail("\(target.name) has another VM '\(own.name)'")
                        }
                        guard let same = domains.first(where: { $0.uuid == own.uuid }) else { return .ok("free") }
                        if facts.relationship == nil {
                            return .fail(
                                "\(target.name) has a VM with its UUID ('\(same.name)'), which is no replica of ours")
                        }
                        return same.name == own.name
                            ? .ok("its own replica") : .warn("its replica there is called '\(same.name)'")
                    }
                }
            }
        },
        Check(
            "runs-once", .vm, "The VM does not run at its target as well.", source: "DESIGN 4",
            fix: "Find out which copy is in use, then end the other: virsh destroy VM at that host."
        ) { facts in
            withTarget(facts) { target in
                target.domains.judged { domains in
                    facts.domain.judged { own in
                        domains.contains { $0.uuid == own.uuid && $0.power.isActive }
                            ? .fail("\(target.name) runs it too: two copies are being written")
                            : .ok("only at \(facts.host)")
                    }
                }
            }
        },
        Check(
            "target-space", .vm, "The target's store has room for its disks.", source: "3, rows 15 and 26",
            fix: "Free space in the target's store, or enlarge its file system."
        ) { facts in
            withTarget(facts) { target in target.freeBytes.judged { free in judgeSpace(facts, target, free) } }
        },
        Check(
            "target-memory", .vm, "The target has the memory that the VM needs.", source: "3, row 26",
            fix: "Give the target more memory, or plan which of its VMs end before a failover."
        ) { facts in
            withTarget(facts) { target in
                target.freeMemoryMiB.judged { free in
                    facts.domain.judged { domain in
                        let words = "\(domain.memoryMiB) MiB needed, \(free) MiB free at \(target.name)"
                        return free < domain.memoryMiB ? .warn(words) : .ok(words)
                    }
                }
            }
        },
    ]

    private static func withTarget(_ facts: VMFacts, _ judge: (VMFacts.Target) -> Judgement) -> Judgement {
        facts.target.judged(judge)
    }

    /// Raw disks and qcow2 of version 2 keep no bitmaps, so each says what follows.
    private static func judgeFormats(_ facts: VMFacts) -> [Judgement] {
        facts.writableDisks.judged { (disks: [DomainDefinition.Disk]) -> [Judgement] in
            let files = disks.filter { $0.path != nil && $0.source == "file" }
            if files.isEmpty { return [.skipped("no disk is a file")] }
            return files.map { disk in
                guard disk.format == "qcow2" else {
                    return .fail(
                        "its format is \(disk.format): no change can be tracked, and protecting it is refused",
                        about: disk.target)
                }
                return facts.images.judged { images in
                    guard let image = disk.path.flatMap({ images[$0] }) else {
                        return .skipped("its header was not read", about: disk.target)
                    }
                    switch image.version {
                    case nil:
                        return .fail(
                            "its file cannot be read: \(image.failure ?? "no reason given")",
                            fix: "Look at the file at \(facts.host), and whether the agent may read it.",
                            about: disk.target)
                    case 2?:
                        return .fail(
                            "it is qcow2 of version 2, which keeps no bitmap: each cycle would have to read all of it",
                            fix: "While the VM is off: qemu-img amend -f qcow2 -o compat=1.1 \(image.path)",
                            about: disk.target)
                    default: return .ok("qcow2, version 3", about: disk.target)
                    }
                }
            }
        }
    }

    private static func judgeNetworks(_ facts: VMFacts) -> [Judgement] {
        facts.definition.judged { (definition: DomainDefinition) -> [Judgement] in
            let networks = Set(definition.nics.compactMap(\.network)).sorted()
            if networks.isEmpty { return [.ok("it is on none")] }
            return facts.target.judged { (target: VMFacts.Target) -> [Judgement] in
                networks.map { network in
                    guard let mapped = facts.networks[network] ?? nil else {
                        return .warn(
                            "nothing says which network of \(target.name) it leads to",
                            fix: "cloud:map_network { from = \"\(network)\", to = ... }; without one the NIC starts "
                                + "unconnected after a failover.", about: network)
                    }
                    return target.networks.judged { present in
                        if !present.contains(mapped) {
                            return .fail(
                                "\(target.name) has no network '\(mapped)': the VM would not start there",
                                fix:
                                    "Define it at \(target.name) (virsh net-define), or map '\(network)' to another one.",
                                about: network)
                        }
                        if let active = target.activeNetworks.value, !active.contains(mapped) {
                            return .fail(
                                "network '\(mapped)' of \(target.name) is not started",
                                fix: "At \(target.name): virsh net-start \(mapped), and virsh net-autostart \(mapped).",
                                about: network)
                        }
                        return .ok("to '\(mapped)'", about: network)
                    }
                }
            }
        }
    }

    private static func judgeSpace(_ facts: VMFacts, _ target: VMFacts.Target, _ free: UInt64) -> Judgement {
        facts.domain.judged { domain in
            let disks = domain.disks.filter { !$0.isReadOnly }
            let all = disks.reduce(0) { $0 + ($1.size ?? 0) }
            let there = "\(bytes(free)) free at \(target.name)"
            // Once the first copy is there, cycles add what changes: a tenth of the disks is a day's work and more.
            if facts.relationship?.newestGeneration != nil {
                return free < all / 10
                    ? .fail("\(there); what changes needs \(bytes(all / 10))") : .ok(there)
            }
            let images = facts.images.value ?? [:]
            let used = disks.reduce(0) { sum, disk in
                sum
                    + (disk.path.flatMap { images[$0] }.flatMap { $0.failure == nil ? $0.allocatedBytes : nil } ?? disk
                        .size ?? 0)
            }
            if free < used { return .fail("\(there); the first copy needs \(bytes(used))") }
            return free < all
                ? .warn("\(there); enough for what its disks hold now, not for all of their \(bytes(all))")
                : .ok("\(there), its disks have \(bytes(all))")
        }
    }
}
