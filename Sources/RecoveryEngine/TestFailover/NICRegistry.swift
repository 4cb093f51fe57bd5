package import Hypervisors
package import SiteModel
import VaultStore

/// How the NICs of replicated VMs are addressed: settings in the vault, read by tests and failovers.
extension RecoveryEngine {
    /// Names one of a VM's NICs.
    package enum NICName: Sendable {
        case mac(String)
        /// Its place in the definition, from 1.
        case index(Int)
    }

    /// A change of one place's settings.
    package enum NICChange: Sendable {
        case leave
        case set(NICAddressing)
        case remove
    }

    /// The NICs of a VM as its owner defines them; empty when the owner does not answer.
    package func nics(of relationship: Relationship) async throws -> [DomainNIC] {
        guard let hypervisor = try await hosts.reachableHypervisor(relationship.owner) else { return [] }
        return try await hypervisor.domain(uuid: relationship.vmUUID)?.nics ?? []
    }

    /// Sets how one NIC is addressed after a failover, back at home and in tests, and returns its settings.
    ///
    /// - Throws: `EngineError` `invalid` when settings cannot be used, `unknown` for a NIC that the VM does not have.
    @discardableResult
    package func setNIC(
        _ name: NICName, of relationshipID: String, failover: NICChange = .leave, home: NICChange = .leave,
        test: NICChange = .leave
    ) async throws -> NICSettings {
        let relationship = try await relationship(relationshipID)
        for (place, change) in [("failover", failover), ("home", home), ("test", test)] {
            guard case .set(let addressing) = change, let problem = addressing.problems.first else { continue }
            throw EngineError(
                .invalid, "\(relationship.name), \(place): \(problem)",
                hint: "mode is \"keep\", \"dhcp\", \"static\" (address, prefix) or \"pool\" (pool, prefix)",
                object: relationship.name)
        }
        let mac = try await hardwareAddress(name, of: relationship)
        return try await vault.write { vault in
            guard var found = try vault.object(Relationship.self, id: relationshipID) else {
                throw EngineError(
                    .unknown, "\(relationship.name) is no longer in the vault",
                    hint: "its pair or server was removed meanwhile; protect it anew", object: relationship.name)
            }
            var all = found.value.nicSettings ?? []
            var settings = all.first { $0.mac == mac } ?? NICSettings(mac: mac)
            Self.apply(failover, to: &settings.failover)
            Self.apply(home, to: &settings.home)
            Self.apply(test, to: &settings.test)
            all.removeAll { $0.mac == mac }
            if settings != NICSettings(mac: mac) { all.append(settings) }
            found.value.nicSettings = all.isEmpty ? nil : all.sorted { $0.mac < $1.mac }
            try vault.update(found)
            return settings
        }
    }

    private static func apply(_ change: NICChange, to addressing: inout NICAddressing?) {
        switch change {
        case .leave: return
        case .set(let new): addressing = new
        case .remove: addressing = nil
        }
    }

    private func hardwareAddress(_ name: NICName, of relationship: Relationship) async throws -> String {
        let present = try await nics(of: relationship).map { $0.mac.lowercased() }
        let known = present.isEmpty ? (relationship.nicSettings ?? []).map(\.mac) : present
        func unknown(_ what: String) -> EngineError {
            EngineError(
                .unknown, "\(relationship.name) has no NIC \(what)",
                hint: known.isEmpty ? "its owner does not answer" : "it has: \(known.joined(separator: ", "))",
                object: relationship.name)
        }
        switch name {
        case .mac(let text):
            guard known.contains(text.lowercased()) else { throw unknown("'\(text.prefix(40))'") }
            return text.lowercased()
        case .index(let place):
            guard known.indices.contains(place - 1) else { throw unknown("number \(place)") }
            return known[place - 1]
        }
    }
}
