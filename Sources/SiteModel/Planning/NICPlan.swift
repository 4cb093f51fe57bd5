extension NetworkPlan {
    /// Where a NIC is connected when its VM comes back home (reference 1.8, the failback table).
    ///
    /// This plan is the one for the way back; `present` is the network that the NIC is on now, at the other side.
    ///
    /// | change while the VM was away | network at home |
    /// | --- | --- |
    /// | none | the one that it left; also when it was unmapped and so unconnected away |
    /// | disconnected | none |
    /// | moved to a network without a mapping | none |
    /// | mapping of its network edited | the one that is mapped now |
    package func home(of nic: ReplicatedNIC, present: String?) -> String? {
        guard let present else { return nic.away == nil ? nic.home : nil }
        return target(of: present, original: nic.home)
    }
}

/// The NIC of a VM as a mapping sees it.
package struct NICConnection: Hashable, Sendable {
    package var vm: String
    package var mac: String
    /// The network that it is on at the side that is replicated from.
    package var network: String?

    package init(vm: String, mac: String, network: String?) {
        self.vm = vm
        self.mac = mac
        self.network = network
    }
}

/// What a change of mappings does to a replica's NIC.
package struct Reconnection: Hashable, Sendable {
    package var vm: String
    package var mac: String
    /// The network at the target before and after; nil for unconnected.
    package var before: String?
    package var after: String?

    package init(vm: String, mac: String, before: String?, after: String?) {
        self.vm = vm
        self.mac = mac
        self.before = before
        self.after = after
    }
}

extension NetworkPlan {
    /// The replicas' NICs that `next` connects otherwise than this plan does: what making (a), extending (b) or editing (c) a
    /// mapping comes to (reference 1.8).
    package func reconnections(to next: NetworkPlan, of nics: [NICConnection]) -> [Reconnection] {
        nics.compactMap { nic in
            let (before, after) = (target(of: nic.network), next.target(of: nic.network))
            return before == after ? nil : Reconnection(vm: nic.vm, mac: nic.mac, before: before, after: after)
        }
    }
}

extension VMNetwork {
    /// The subnet of this network for a NIC that was on a subnet of that name: the one of the same name, else the first.
    package func subnet(like name: String?) -> Subnet? {
        subnets.first { $0.name == name } ?? subnets.first
    }
}
