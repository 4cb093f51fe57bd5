/// A value that the vault keeps: everything that has an identity of its own.
///
/// Objects are plain values. They refer to each other by `id` (a lower-case UUID string), never by reference,
/// so that a copy can be taken, sent, compared and replayed.
package protocol SiteObject: Codable, Hashable, Sendable {
    /// Stable name of the kind of object, as stored ("cloud", "relationship").
    static var kind: String { get }

    /// Lower-case UUID string, unique in the vault.
    var id: String { get }

    /// What people call it: unique among the objects of one kind under one parent.
    var name: String { get }

    /// Id of the object it belongs to, or nil at the top.
    var parent: String? { get }
}
