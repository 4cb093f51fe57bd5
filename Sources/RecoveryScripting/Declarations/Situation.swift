/// How things stand where an example of the reference makes sense; the tests put them so and run it.
///
/// In all of them the examples' names mean what ``Situation/names`` says.
package enum Situation: String, Sendable, CaseIterable {
    /// Two sites and an empty vault.
    case bare
    /// Hosts, server, policy and clouds are registered; the clouds are no pair yet.
    case unpaired
    /// The clouds are paired; no network is mapped and no VM replicated.
    case registered
    /// The VM is replicated and has recovery points.
    case protected
    case paused
    /// A test VM runs beside the VM.
    case testing
    /// The VM has been failed over, unplanned, and not committed.
    case failedOver
    /// The failover is committed.
    case committed
    /// The failover of the management server's own VM is committed.
    case managementCommitted
    /// The VM is in a recovery plan, `shop`.
    case planKept
    case planTested
    case planFailedOver
    case planCommitted
    /// Site a of the lab is lost.
    case lost

    /// The words of the reference; nil where the usual case needs none.
    var sentence: String? {
        switch self {
        case .bare, .unpaired, .registered, .protected, .planKept: nil
        case .planTested: "After a test of the plan:"
        case .planFailedOver: "After a failover of the plan, before its commit:"
        case .planCommitted: "After the commit of the plan's failover:"
        case .paused: "While replication is paused:"
        case .testing: "While a test VM runs:"
        case .failedOver: "After a failover, before its commit:"
        case .committed: "After the commit of a failover:"
        case .managementCommitted: "After the commit of the management server's own failover:"
        case .lost: "After the loss of site a:"
        }
    }

    /// What the names in the examples stand for.
    static let names = """
        In the examples `vault` is `recovery.vault()`, `vmm` a management server, `gold` and `silver` its two clouds with the
        hosts `a1` and `b1`, `fast` their policy, `vm` the VM `orders` in `gold`, `item` what protects it, `plan` the
        recovery plan `shop` that it is in, `relationship` what replicates the management server's own VM. The tests run every example.
        """
}
