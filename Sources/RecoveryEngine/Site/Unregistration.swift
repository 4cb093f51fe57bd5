package import SiteModel
import VaultStore

/// One thing to do before a server can be unregistered.
package struct UnregistrationStep: Sendable, Hashable {
    /// What is to be done, in the order in which it is to be done (rule 10).
    package enum Action: String, Sendable, CaseIterable {
        case removePlan = "remove-plan", unprotect, removeNetworkMapping = "remove-network-mapping"
        case removeStorageMapping = "remove-storage-mapping", unpair
        /// The management server's own VM: it may stay replicated, but then nobody knows of it any more.
        case endReplication = "end-replication"
    }

    package var action: Action
    /// Name of the object.
    package var name: String
    /// The call that does it.
    package var call: String

    package var words: String {
        switch action {
        case .removePlan: "plan \(name) to remove"
        case .unprotect: "VM \(name) to unprotect"
        case .removeNetworkMapping: "network mapping \(name) to remove"
        case .removeStorageMapping: "storage mapping of \(name) to remove"
        case .unpair: "pair \(name) to take apart"
        case .endReplication: "VM \(name) (the server's own) to unprotect"
        }
    }
}

extension RecoveryEngine {
    /// What is left to do before the server can be unregistered, in order; empty when it can be now.
    package func unregistrationSteps(of server: Server) async throws -> [UnregistrationStep] {
        try await vault.read { try Self.steps(toUnregister: server, $0) }
    }

    static func steps(toUnregister server: Server, _ vault: any VaultReader) throws -> [UnregistrationStep] {
        let clouds = try vault.objects(Cloud.self, parent: server.id).map(\.value)
        let names = Dictionary(clouds.map { ($0.id, $0.name) }, uniquingKeysWith: { a, _ in a })
        let pairs = try vault.objects(CloudPair.self).map(\.value).filter { pair in
            names.keys.contains { pair.joins($0) }
        }
        // A pair is in the way whichever of its clouds is the server's, and so are the VMs of both.
        let protected = try vault.objects(ProtectedItem.self).map(\.value).filter { item in
            guard names[item.cloud] != nil || pairs.contains(where: { $0.id == item.pair }) else { return false }
            let relationship = try vault.object(Relationship.self, id: item.relationship)?.value
            return relationship.map { $0.state != .unprotected } ?? false
        }
        func call(of cloud: Cloud?) throws -> String {
            let owner = try cloud.flatMap { try vault.object(Server.self, id: $0.server)?.value.name } ?? "?"
            return "vault:server(\"\(owner)\"):cloud(\"\(cloud?.name ?? "?")\")"
        }
        var steps = try vault.objects(RecoveryPlan.self).map(\.value)
            .filter { [$0.source, $0.target].contains(server.id) }
            .map { UnregistrationStep(action: .removePlan, name: $0.name, call: "vault:plan(\"\($0.name)\"):remove()") }
        steps += protected.map {
            UnregistrationStep(
                action: .unprotect, name: $0.name, call: "vault:replicated(\"\($0.name)\"):unprotect()")
        }
        steps += try vault.objects(NetworkMapping.self).map(\.value).filter {
            names[$0.sourceCloud] != nil || names[$0.targetCloud] != nil
        }.map { mapping in
            let cloud = try call(of: vault.object(Cloud.self, id: mapping.sourceCloud)?.value)
            return UnregistrationStep(
                action: .removeNetworkMapping, name: mapping.name,
                call: "\(cloud):unmap_network(\"\(mapping.name)\")")
        }
        let classes = Set(try vault.objects(StorageClass.self, parent: server.id).map(\.value.id))
        steps += try vault.objects(StorageMapping.self).map(\.value).filter {
            classes.contains($0.source) || classes.contains($0.target)
        }.map { mapping in
            let owner =
                try vault.object(StorageClass.self, id: mapping.source)
                .flatMap { try vault.object(Server.self, id: $0.value.server)?.value.name } ?? "?"
            return UnregistrationStep(
                action: .removeStorageMapping, name: mapping.name,
                call: "vault:server(\"\(owner)\"):storage_class(\"\(mapping.name)\"):unmap()")
        }
        steps += try pairs.map { pair in
            let cloud = try call(of: vault.object(Cloud.self, id: pair.primary)?.value)
            return UnregistrationStep(action: .unpair, name: pair.name, call: "\(cloud):unpair()")
        }
        if let own = server.managementVM,
            let relationship = try vault.object(Relationship.self, named: own, parent: nil)?.value,
            relationship.item == nil, relationship.state != .unprotected
        {
            steps.append(
                UnregistrationStep(
                    action: .endReplication, name: own, call: "vault:replicated(\"\(own)\"):unprotect()"))
        }
        return steps
    }
}
