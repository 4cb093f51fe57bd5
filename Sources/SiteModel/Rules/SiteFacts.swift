/// What is so at the sites and in the vault, as far as the rules ask for it.
///
/// Whoever asks fills in what it knows. Nil means "not looked": it passes where a later stage finds out without harm,
/// and refuses where a mistake could not be taken back (the source's disks, the management server, the source's end).
package struct SiteFacts: Hashable, Sendable {
    /// The policy that the relationship names exists.
    package var policyExists: Bool
    /// The item's cloud is in a pair.
    package var cloudIsPaired: Bool
    /// This VM is the one that the management server runs in.
    package var isManagementVM: Bool
    /// The management server's own VM; nil when the server runs in none.
    package var management: ManagementVM?
    /// Site of each host, by host id; a host that is not listed counts as a site of its own.
    package var sites: [String: String]
    /// The host that is replicated from answers.
    package var sourceReachable: Bool?
    /// The host that is replicated to answers.
    package var targetReachable: Bool?
    /// How it is known that the source is down; nil before anyone has tried to find out.
    package var sourceVerdict: SourceVerdict?
    /// The operation says how it becomes certain that the target is down.
    package var targetIsGivenUp = false
    /// The source's VM definition and disks are whole and unchanged since the failover.
    package var sourceIntact: Bool?
    /// The source's store has room to receive the way back.
    package var sourceCanReceive: Bool?
    /// The guest did not shut down within the limit of a planned failover.
    package var shutdownTimedOut: Bool
    /// Hosts at which the VM runs, by id; nil when nobody has looked.
    package var runningAt: Set<String>?
    /// The recovery point that the operation names exists; nil when it names none.
    package var chosenPointExists: Bool?
    /// What is known to be wrong with the point that the operation would use; nil when nothing is, or when that was accepted.
    package var damage: DamageFacts?
    /// The first copy was exported for import at the target.
    package var firstCopyExported: Bool
    /// Operation of the job that has the VM, if one has.
    package var activeOperation: Operation?
    /// That job is held before one of its stages by a plan, and waits to be let go on.
    package var activeJobIsHeld = false
    /// The engine that drove that job is dead.
    package var activeJobIsOrphaned = false
    /// What is known of the network that a test names; nil when it names none.
    package var testNetwork: TestNetworkFacts?

    /// A chosen point that is damaged, and what there is instead.
    package struct DamageFacts: Hashable, Sendable {
        package var number: Int
        /// What is wrong, in words.
        package var text: String
        /// The newest point of which nothing bad is known.
        package var whole: Int?

        package init(number: Int, text: String, whole: Int?) {
            self.number = number
            self.text = text
            self.whole = whole
        }

        /// The rule, with this point and the way out in its words.
        package func rule(against operation: Operation) -> Rule {
            let rule = RuleBook.recoveryPointDamaged
            let instead =
                operation == .plannedFailover
                ? "Verify the VM (vm:verify()): what is wrong is sent again, as a new point. Then repeat."
                : whole.map { "Point \($0) is the newest of which nothing bad is known: choose it (point = \($0)). " }
                    ?? "Nothing good is known of any other point. Where the source is there, verify the VM: what is wrong is sent "
                    + "again, as a new point. "
            let accept =
                operation == .plannedFailover ? "" : "Or say why you want it all the same: accept_damage = \"...\"."
            return Rule(
                id: rule.id, sentence: "\(rule.sentence) Point \(number): \(text).", source: rule.source,
                hint: instead + accept)
        }
    }

    /// The network that a test is to be connected to, as the rules about it see it.
    package struct TestNetworkFacts: Hashable, Sendable {
        /// Real failovers of VMs connect to it, or VMs run in it.
        package var isProduction: Bool
        /// The operator insists, and has said why.
        package var isForced: Bool

        package init(isProduction: Bool, isForced: Bool) {
            self.isProduction = isProduction
            self.isForced = isForced
        }
    }

    /// The management server's own VM, as the rules about it see it.
    package struct ManagementVM: Hashable, Sendable {
        /// It runs and was seen to answer; nil when nobody has looked.
        package var running: Bool?
        /// Its own relationship; nil when it is not replicated.
        package var relationship: Relationship?

        package init(running: Bool?, relationship: Relationship?) {
            self.running = running
            self.relationship = relationship
        }
    }

    package init(
        policyExists: Bool = true, cloudIsPaired: Bool = true, isManagementVM: Bool = false,
        management: ManagementVM? = nil, sites: [String: String] = [:], sourceReachable: Bool? = nil,
        targetReachable: Bool? = nil, sourceVerdict: SourceVerdict? = nil, sourceIntact: Bool? = nil,
        sourceCanReceive: Bool? = nil, shutdownTimedOut: Bool = false, runningAt: Set<String>? = nil,
        chosenPointExists: Bool? = nil,
        firstCopyExported: Bool = false, activeOperation: Operation? = nil
    ) {
        self.policyExists = policyExists
        self.cloudIsPaired = cloudIsPaired
        self.isManagementVM = isManagementVM
        self.management = management
        self.sites = sites
        self.sourceReachable = sourceReachable
        self.targetReachable = targetReachable
        self.sourceVerdict = sourceVerdict
        self.sourceIntact = sourceIntact
        self.sourceCanReceive = sourceCanReceive
        self.shutdownTimedOut = shutdownTimedOut
        self.runningAt = runningAt
        self.chosenPointExists = chosenPointExists
        self.firstCopyExported = firstCopyExported
        self.activeOperation = activeOperation
    }

    /// The place that a host fails with.
    package func site(of host: String) -> String { sites[host] ?? host }
}
