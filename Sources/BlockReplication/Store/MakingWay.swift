/// Says whether somebody waits to change a store.
package typealias IsAwaited = @Sendable () -> Bool

/// Ends long work on a store between two of its pieces, for the sake of others; what it has done stays of use.
struct MadeWay: Error {}

/// How far the folding of a disk has come.
struct BegunFold {
    /// The overlay that is folded; it does not change until that is done.
    var file: String
    /// The L2 table to go on with.
    var table: Int
}
