package import SiteModel

/// Jobs that stop before a stage until somebody lets them go on: how a plan moves all VMs and then starts them in order.
///
/// The hold is a fact of the job, so it outlives the engine: one that takes the job up stops at the same place.
extension Job {
    /// The stage that is not to be begun yet.
    package var hold: StageName? {
        get { facts["hold"].flatMap(StageName.init(rawValue:)) }
        set { facts["hold"] = newValue?.rawValue }
    }

    /// Whether the next stage is the one that it is held before, or a later one.
    ///
    /// A stage that was begun is driven to its end.
    package var isHeld: Bool {
        guard state.isOpen, let hold, let place = stages.firstIndex(where: { $0.name == hold.rawValue }),
            let next = stages.firstIndex(where: { $0.state != .done })
        else { return false }
        return next >= place && stages[next].state == .pending
    }
}
