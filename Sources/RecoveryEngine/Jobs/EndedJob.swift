import SiteModel

/// A failover that an undo has ended, or an undo that a failover has ended, and what becomes of it when that one fails.
///
/// Each had moved the VM's ownership already: the VM does not run where it belongs, and there is no rest to go back to. So the
/// one that was ended waits again, as it stood, with the ways on that it had: being driven on, or being ended once more.
extension Job {
    private enum Fact {
        static let ended = "endedJob"
        /// Something of an ended undo was left at the target when it was ended.
        static let leftCopy = "endedWithLeftCopy"
    }

    /// Id of the job that this one has ended and that waits again should this one fail; nil when there is none.
    package var endedJob: String? { facts[Fact.ended] }

    /// Remembers the job that this one ends, where the VM cannot be left as that one leaves it.
    mutating func noteEnded(_ other: Job, _ relationship: Relationship) {
        guard operation == .undo || other.operation == .undo else { return }
        facts[Fact.ended] = other.id
        facts[Fact.leftCopy] = relationship.leftCopy == nil ? nil : "true"
    }

    /// This job, which another one had ended that has failed now, as it waits again under a new id.
    func waitingAgain(as id: String, after failed: Job, _ relationship: Relationship) -> Job {
        var job = self
        (job.id, job.state, job.endedAt) = (id, .running, nil)
        job.failure = failures?.last
        // What that one has thrown away is gone, and where it has ended the VM, the VM is to be started again.
        if operation == .undo, failed.facts[Fact.leftCopy] != nil, relationship.leftCopy == nil {
            job.settle(.withdraw, .done)
        }
        if failed.operation == .undo, failed.facts["targetVerdict"] != nil {
            for stage in [StageName.start, .confirm] { job.settle(stage, .pending) }
        }
        return job
    }

    private mutating func settle(_ stage: StageName, _ state: StageState) {
        for index in stages.indices where stages[index].name == stage.rawValue { stages[index].state = state }
    }
}
