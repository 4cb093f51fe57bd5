import BlockReplication
import Hypervisors
import SiteModel
import VaultStore

/// Boot images of a test carry this number instead of an epoch: epochs begin at 1.
private let testEpoch = 0

/// A copy that runs beside production, unconnected, and is thrown away.
extension JobDriver {
    func createTest() async throws {
        guard let generation = fact("chosen") else {
            throw EngineError(.failed, "job \(jobID) has lost its chosen point", object: relationship.name)
        }
        let hypervisor = try await hosts.hypervisor(relationship.target)
        let uuid = fact("testUUID") ?? dependencies.identifiers.next()
        if fact("testUUID") == nil { try await setFact("testUUID", uuid) }
        let test = TestRecord(
            vmName: "\(relationship.name)-test", vmUUID: uuid, generation: generation, startedAt: now)
        try await record { _, relationship, _ in relationship.test = test }
        let images = try await hosts.agent(relationship.target).createBootImages(
            relationship: relationship.id, generation: generation, epoch: testEpoch)
        var definition = try DomainDefinition(
            xml: await hosts.agent(relationship.target).domainXML(
                relationship: relationship.id, generation: generation))
        for image in images {
            try definition.setDisk(
                image.target, chain: image.chain.map { DomainDefinition.Layer(path: $0.path, format: $0.format) })
        }
        definition.removeDisks(relationship.excludedDisks ?? [])
        try definition.becomeTest(name: test.vmName, uuid: test.vmUUID, network: argument("network"))
        try await hypervisor.define(xml: definition.xml)
        try await hypervisor.start(uuid: uuid, paused: false)
    }

    func removeTest() async throws {
        guard let test = relationship.test else { return }
        let hypervisor = try await hosts.hypervisor(relationship.target)
        try await hypervisor.destroy(uuid: test.vmUUID)
        try await hypervisor.undefine(uuid: test.vmUUID)
        try await hosts.agent(relationship.target).discardBootImages(relationship: relationship.id, epoch: testEpoch)
        let now = now
        try await record { job, relationship, _ in
            relationship.test = nil
            // A test counts when it was cleaned up, not when it failed to begin.
            if job.operation == .cleanUpTest { relationship.lastTestFailoverAt = now }
        }
    }
}
