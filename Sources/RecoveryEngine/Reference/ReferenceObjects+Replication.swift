import SiteModel

// Sections 1.10 to 1.14 of the collected facts: policy, first copy, protected item, point, plan.

extension ReferenceObjects {
    static let replication: [ReferenceObject] = [
        ReferenceObject(
            "1.10", "Replication policy",
            here:
                "A pair of clouds has one; the hosts' own relationships name one each. What a value may be is in `Policy.violations`, and a wrong one is refused with field, value and what is allowed.",
            [
                ReferencePart("name", lua: ["policy.name", "vault:policy"], model: ["Policy.name"], "Unique."),
                ReferencePart(
                    "provider type, host version",
                    "No meaning here: one kind of hypervisor, and versions are checked (`qemu-version`, `libvirt-version`)."
                ),
                ReferencePart(
                    "copy frequency", lua: ["policy.copy_frequency"],
                    model: ["Policy.copyFrequencySeconds", "Policy.copyFrequencies"],
                    "\(Policy.copyFrequencies.map(String.init).joined(separator: ", ")) s; default \(policy.copyFrequencySeconds) s. An overrun delays the next cycle, and none are stacked."
                ),
                ReferencePart(
                    "recovery points beyond the newest", lua: ["policy.recovery_points"],
                    model: ["Policy.recoveryPoints", "Policy.recoveryPointLimits"],
                    "\(span(Policy.recoveryPointLimits)); default \(policy.recoveryPoints). Kept are the newest point and one of each hour (`Retention`); while there are fewer hours, the newest others besides."
                ),
                ReferencePart(
                    "application-consistent frequency", lua: ["policy.app_consistent"],
                    model: ["Policy.applicationConsistentHours", "Policy.applicationConsistentLimits"],
                    "\(span(Policy.applicationConsistentLimits)) h, fewer than the extra points; off by default. The first cycle after it freezes the guest by its agent for the point's instant; a point that cannot be made so is crash-consistent and says why."
                ),
                ReferencePart(
                    "compression", lua: ["policy.compression"], model: ["Policy.compression"],
                    "On by default: agents measure, and compress only while the network is what a transfer waits for. Off: never."
                ),
                ReferencePart(
                    "authentication: certificate, Kerberos", lua: ["policy.authentication"],
                    model: ["Policy.Authentication.ticket", "Policy.Authentication.certificate"],
                    "\(words(Policy.Authentication.allCases.map(\.rawValue))); `\(policy.authentication.rawValue)` by default, `certificate` sends to agents with TLS alone; how an agent is started decides, and neither falls back to plain. No Kerberos."
                ),
                ReferencePart(
                    "port", lua: ["policy.port"], model: ["Policy.port", "Policy.portLimits"],
                    "\(span(Policy.portLimits)), or whatever each agent has. It opens none: pairing refuses hosts whose agents listen elsewhere."
                ),
                ReferencePart(
                    "first copy: now, scheduled, offline", lua: ["policy.first_copy", "vm:protect{first_copy}"],
                    model: ["Policy.FirstCopy.offline"],
                    "\(words(Policy.FirstCopy.allCases.map(\.rawValue))); `\(policy.firstCopy.rawValue)` by default; a VM may have its own."
                ),
                ReferencePart(
                    "start of a scheduled first copy", lua: ["policy.first_copy_time", "vm:protect{start_after}"],
                    model: ["Policy.firstCopyTime", "FirstCopyRecord.longestDelay"],
                    "A time of day with the policy; for one VM, up to \(Int(FirstCopyRecord.longestDelay / 86_400)) days from now (the original: 24 hours through the service, 7 days by the hosts)."
                ),
                ReferencePart(
                    "export and import path", lua: ["policy.export_path", "policy.import_path"],
                    model: ["Policy.exportPath", "Policy.importPath"],
                    "Absolute; both needed for `offline`."),
                ReferencePart(
                    "delete the replica when protection ends", lua: ["policy.delete_replica"],
                    model: ["Policy.deleteReplica", "Relationship.keptReplica"],
                    "On by default, unlike the original: a replica that nobody owns is debris. Kept points go when the VM is protected anew."
                ),
                ReferencePart(
                    "associated with further clouds later", lua: ["cloud:pair"],
                    "A policy may serve any number of pairs."),
                ReferencePart(
                    "a VM's own number of points",
                    "Left out: a VM has its policy's, or another policy by `vm:replicate`."),
                ReferencePart(
                    "automatic resync and its window", lua: ["policy.auto_resync", "policy.resync_window"],
                    model: ["Policy.autoResync", "Policy.resyncWindow"],
                    "\(words(Policy.AutoResync.allCases.map(\.rawValue))); `\(policy.autoResync.rawValue)` by default, the window \(policy.resyncWindow)."
                ),
                ReferencePart(
                    "monitoring interval and start", lua: ["policy.monitoring_interval", "policy.monitoring_start"],
                    model: ["Policy.monitoringHours", "Policy.monitoringLengths"],
                    "1, 2, 3, 4, 6, 8, 12, 24 h or 2 to 7 days; default \(policy.monitoringHours) h from \(policy.monitoringStart)."
                ),
                ReferencePart(
                    "write order across disks", lua: ["point.at"], "Always: one instant for all disks of a VM."),
                ReferencePart(
                    "proxy bypass, key-value items of the guest",
                    "Left out: agents know no proxy, and QEMU has no such items."),
                ReferencePart("rules for certificates", "Left out with certificates."),
            ]),
        ReferenceObject(
            "1.11", "First copy that is carried",
            here:
                "The first point as files in a folder, with a checksum of each, written at the source and read at the target.",
            [
                ReferencePart(
                    "export into `<VM>_<id>`", lua: ["first_copy.folder", "first_copy.bytes", "job.folder"],
                    model: ["ExportedCopy.folder", "FirstCopyRecord.folderName"],
                    "The same name; characters that are not plain become `-`."),
                ReferencePart(
                    "import; failover and test only then", lua: ["item:import_first_copy"],
                    model: ["FirstCopyRecord.importPath"],
                    "Rule `first-copy-incomplete` until then."),
                ReferencePart(
                    "changes go on being sent meanwhile", model: ["Relationship.checkpoint"],
                    "They are tracked at the source and sent by the first cycle after the import: no second copy lies at the target meanwhile."
                ),
                ReferencePart("placeholder replica", "Left out: a replica is no VM before its failover."),
                ReferencePart(
                    "third way: a copy that is there already", lua: ["vm:protect"],
                    "A VM that the hosts replicate already keeps its points when its cloud takes it over: rule `onboard-between-its-clouds`."
                ),
                ReferencePart(
                    "accounts, shares, delegation",
                    "No meaning here: each agent reads and writes its own host's folders."),
            ]),
        ReferenceObject(
            "1.12", "Protected item",
            here:
                "A relationship between two hosts, and the cloud that owns it. The management server's VM has the relationship alone.",
            [
                ReferencePart(
                    "id, name", lua: ["item.name"], model: ["ProtectedItem.id", "ProtectedItem.name"], "The VM's name."),
                ReferencePart("policy", lua: ["item.policy"], model: ["Relationship.policy"], "Its pair's."),
                ReferencePart(
                    "primary and recovery server and cloud", lua: ["item.cloud", "item.source", "item.target"],
                    model: [
                        "ProtectedItem.cloud", "ProtectedItem.pair", "Relationship.source", "Relationship.target",
                        "Relationship.home",
                    ],
                    "Source and target change places with each reverse."),
                ReferencePart(
                    "protection state with description", lua: ["item.state", "item:next"],
                    model: ["Relationship.state", "ReplicationState.failedOver"],
                    "\(ReplicationState.allCases.count) states; [rules.md](rules.md) has the table."),
                ReferencePart(
                    "active location", lua: ["item.owner"], model: ["Relationship.owner", "Relationship.epoch"],
                    "A host, with the number of its ownership."),
                ReferencePart(
                    "test failover state", lua: ["item.state", "item.last_test_failover"],
                    model: ["Relationship.test", "TestRecord.endsAt", "Relationship.lastTest"],
                    "The record of a test exists before anything of it does. It ends by itself after \(Int(TestRecord.longest / 86_400)) days, or sooner: `test_failover { within = ... }`."
                ),
                ReferencePart(
                    "allowed operations", lua: ["item:can", "item:next", "next.allowed"], "Each refusal with its rule."),
                ReferencePart(
                    "replication health, health errors",
                    lua: ["item:health", "replication_health.errors", "health_error.causes"],
                    model: ["Relationship.healthErrors", "ReplicationStatistics.lastSync"],
                    "Judged by the original's thresholds."),
                ReferencePart(
                    "failover health", lua: ["vm:check"],
                    "Checks that the target can take the VM: space, memory, names, networks."),
                ReferencePart(
                    "last successful failover and test failover",
                    lua: ["item.last_failover", "item.last_test_failover"],
                    model: ["Relationship.lastFailoverAt", "Relationship.lastTestFailoverAt"],
                    "A test counts once it was cleaned up."),
                ReferencePart(
                    "chosen recovery point", lua: ["item.chosen_point", "item:change_point"],
                    model: ["FailoverRecord.generation"], "Until the commit."),
                ReferencePart(
                    "current scenario: name, job, start", lua: ["item.active_job"], model: ["Relationship.activeJob"],
                    "The job itself."),
                ReferencePart(
                    "initial replication: type, percent", lua: ["item.first_copy", "first_copy.method"],
                    model: ["Relationship.firstCopy", "TransferProgress.done"],
                    "`perilune status` shows how far it is."),
                ReferencePart(
                    "NICs: id, network, test network, IP settings",
                    lua: ["item:nics", "item:set_nic", "nic.failover", "nic.home", "nic.test", "addressing.mode"],
                    model: ["NICSettings.failover", "NICSettings.home", "NICSettings.test", "AddressMode.pool"],
                    "\(words(AddressMode.allCases.map(\.rawValue))) for each of failover, home and test; told to the guest by NoCloud data. IPv4, \(NICAddressing.longestDNS) name servers at most. The network of a test is the test's, not the NIC's."
                ),
            ]),
        ReferenceObject(
            "1.13", "Recovery point",
            here: "A base and overlays in the target's store, with a manifest; never written to, and whole or absent.",
            [
                ReferencePart(
                    "time", lua: ["point.at"], model: ["RecoveryPoint.at"],
                    "The instant that it shows, not the one at which it arrived."),
                ReferencePart(
                    "type", lua: ["point.kind"], model: ["RecoveryPoint.cause", "PointKind.planned"],
                    "`initial`, `crash`, `application` (its guest was frozen by its agent), `planned`; `point.consistency` is `application` or `crash`."
                ),
                ReferencePart(
                    "hourly, up to 24 beyond the newest", lua: ["item:points"], model: ["RecoveryPoint.number"],
                    "Up to 24 beyond the newest, the first of each hour of the clock. Until there are so many hours, the newest others fill the room."
                ),
                ReferencePart(
                    "undo logs: the newest fast, older ones slower", model: ["RecoveryPoint.previous"],
                    "Overlays forward from a base: any point boots at once, from an overlay of its own."),
                ReferencePart(
                    "disk grown or shrunk", lua: ["vm:check"],
                    "The next point has the new size, older ones keep theirs. Disks that come and go are dealt with alike."
                ),
                ReferencePart(
                    "resync deletes all points", lua: ["item:resync"],
                    "They stay: a resync is one more point, made by comparing."),
                ReferencePart("commit deletes all points", lua: ["item:commit"], "Keeps the chosen one."),
                ReferencePart(
                    "extended replica", "Left out: a replica is not replicated further (rule `already-protected`)."),
            ]),
    ]

    static let recoveryPlans: [ReferenceObject] = [
        ReferenceObject(
            "6", "Recovery plan, group, action",
            here:
                "A document in the vault, made in Lua or from a file, run by the engine under a lease; a run whose engine died is taken up by running it again.",
            [
                ReferencePart(
                    "name, source and target server", lua: ["vault:plan", "plan.source", "plan.target"],
                    model: ["RecoveryPlan.source", "RecoveryPlan.target"],
                    "The same server allowed; only items of that pair of servers."),
                ReferencePart(
                    "groups of type shutdown, failover, boot", lua: ["plan_group.kind", "plan_group.vms"],
                    model: ["PlanGroup.kind", "GroupKind.boot"],
                    "One of the first two each, any number of boot groups up to \(PlanLimits.groups)."),
                ReferencePart(
                    "an item in one group of a plan, and in many plans", lua: ["plan_group.vms"],
                    model: ["PlanGroup.vms"],
                    "Rule `one-group-per-vm`; what another plan has done is passed over."),
                ReferencePart(
                    "groups by number", lua: ["plan_group.depends_on", "vault:plan{depends_on}"],
                    model: ["PlanGroup.dependsOn", "RecoveryPlan.dependsOn"],
                    "One after the other unless they say what they wait for, also across plans: rule `plan-cycle`."),
                ReferencePart(
                    "actions before and after a group, in order", lua: ["plan_group.before", "plan_group.after"],
                    model: ["PlanGroup.before", "PlanGroup.after"], "Up to \(PlanLimits.actions) at a place."),
                ReferencePart(
                    "failover types and directions of an action", lua: ["plan_action.on", "plan_action.directions"],
                    model: ["PlanAction.operations", "PlanAction.directions"],
                    "Test, planned and unplanned, both ways, unless it says otherwise; also clean-up, commit and reverse."
                ),
                ReferencePart(
                    "script: path, side, time-out",
                    lua: [
                        "plan_action.call", "plan_action.command", "plan_action.host", "plan_action.guest",
                        "plan_action.timeout",
                    ],
                    model: ["PlanWork.function", "PlanWork.command", "PlanWork.guestCommand", "PlanAction.timeout"],
                    "A Lua function, a program on a host or where the plan runs, or one in a guest. \(Int(PlanWork.command(host: nil, argv: []).defaultTimeout)) s unless it says otherwise. Failed by exit status, not by what stands on standard error."
                ),
                ReferencePart(
                    "manual action: instructions, observation",
                    lua: ["plan_action.manual", "plan:confirm", "plan_action_result.observation"],
                    model: ["PlanWork.manual", "PlanStep.observation"], "Waits a week at most."),
                ReferencePart(
                    "runbook of the cloud", "Left out: there is no such service. `call` and `command` do its work."),
                ReferencePart(
                    "script library on both servers",
                    "Left out: modules are found beside the script and in `--library`, where the plan is run."),
                ReferencePart(
                    "context for scripts",
                    lua: [
                        "plan_context.plan", "plan_context.operation", "plan_context.direction", "plan_context.group",
                        "plan_context.vms",
                    ],
                    "With each VM's state, owner and point; a point only after its failover."),
                ReferencePart(
                    "on error planned stops, unplanned goes on",
                    lua: ["plan_result.state", "plan_action.critical", "plan_action.retries"],
                    model: ["PlanOperation.stopsOnError", "PlanAction.isCritical", "PlanAction.retries"],
                    "The same; and retries, and actions that may fail."),
                ReferencePart(
                    "last failover and test times, status", lua: ["plan:last", "plan_result.vms"],
                    model: ["PlanRun.state", "PlanStep.lossSeconds"], "Each run with what came of each VM and action."),
            ])
    ]

    private static let policy = Policy(id: "", name: "default")

    private static func span(_ range: ClosedRange<Int>) -> String { "\(range.lowerBound) to \(range.upperBound)" }
}
