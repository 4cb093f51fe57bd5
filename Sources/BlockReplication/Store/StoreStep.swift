/// A place between two effects of the store, where a test may stop as if the process had died there.
package enum StoreStep: String, Sendable {
    case imagesFinished, mapWritten, domainWritten, imageRenamed
    case manifestWritten, manifestRenamed
    case mergeWritten, mergeRenamed, mergeRecorded
    case foldPart, foldWritten, foldRenamed, foldRecorded
    case bootWritten, bootRenamed
    case fileRemoved
}

/// Called at every step; what it throws ends the operation there, with no tidying up.
package typealias StoreStepHook = @Sendable (StoreStep) throws -> Void
