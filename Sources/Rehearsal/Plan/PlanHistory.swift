import SiteModel
package import VaultStore

/// How long operations have taken in a vault until now.
package struct PlanHistory: Sendable {
    private var byVM: [String: [Double]] = [:]
    private var byOperation: [Operation: [Double]] = [:]

    /// How many of one VM it takes until they count more than all VMs' together.
    private static let enough = 3

    package init(_ vault: any Vault) async throws {
        let jobs = try await vault.read { try $0.objects(Job.self).map(\.value) }
        for job in jobs where job.state == .succeeded {
            guard let ended = job.endedAt else { continue }
            let seconds = ended.seconds(since: job.startedAt)
            byVM[Self.key(job.operation, job.relationship), default: []].append(seconds)
            byOperation[job.operation, default: []].append(seconds)
        }
    }

    private static func key(_ operation: Operation, _ relationship: String) -> String {
        "\(operation.rawValue) \(relationship)"
    }

    /// The median of the VM's own jobs of that kind, or of the vault's; nil where none was made yet.
    func seconds(of operation: Operation, on relationship: String) -> (Double, PlanStep.Expectation)? {
        if let own = byVM[Self.key(operation, relationship)], own.count >= Self.enough {
            return (Self.median(own), .vmHistory)
        }
        return byOperation[operation].map { (Self.median($0), .vaultHistory) }
    }

    private static func median(_ values: [Double]) -> Double {
        let sorted = values.sorted()
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }
}
