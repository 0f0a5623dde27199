// One row as `Query.decode` sees it: a cursor over its columns, left to right.
import CLibpq

/// Reads the columns of a row in order.
public struct RowReader {
    private let result: QueryResult
    private let row: Int32
    private let columns: Int32
    private var column: Int32 = 0

    init(result: QueryResult, row: Int32, columns: Int32) {
        self.result = result
        self.row = row
        self.columns = columns
    }

    /// The next column as `type`.
    /// - Throws: `DatabaseError.decoding`, naming the column, when it is of another type, NULL for a type that is not optional, or missing.
    public mutating func next<T: ColumnDecodable>(_ type: T.Type = T.self) throws -> T {
        guard column < columns else {
            throw DatabaseError.decoding(column: "number \(column + 1)", reason: "is not in the row, which has \(columns)")
        }
        let index = column
        column += 1
        do {
            return try T.decode(Column(type: PostgresType(oid: PQftype(result.pointer, index)), bytes: bytes(index)))
        } catch let mismatch as ColumnMismatch {
            throw DatabaseError.decoding(column: name(index), reason: mismatch.reason)
        }
    }

    /// The next column as one of the words that a type knows.
    /// - Throws: `DatabaseError.decoding`, also for a word that it does not know.
    public mutating func next<Word: RawRepresentable<String>>(word _: Word.Type = Word.self) throws -> Word {
        let index = column
        guard let word = Word(rawValue: try next(String.self)) else {
            throw DatabaseError.decoding(column: name(index), reason: "is a word that this server does not know")
        }
        return word
    }

    /// The same; nil for NULL.
    public mutating func next<Word: RawRepresentable<String>>(word _: Word?.Type) throws -> Word? {
        let index = column
        guard column < columns, bytes(index) != nil else {
            _ = try next(String?.self)
            return nil
        }
        return try next(word: Word.self)
    }

    /// Passes over columns that this row does not need.
    public mutating func skip(_ count: Int = 1) {
        column += Int32(clamping: count)
    }

    /// A column that nobody read is a SELECT list and a decoder that have drifted apart.
    func finish() throws {
        guard column >= columns else { throw DatabaseError.decoding(column: name(column), reason: "was not read by the query's decode") }
    }

    private func bytes(_ index: Int32) -> UnsafeRawBufferPointer? {
        guard PQgetisnull(result.pointer, row, index) == 0 else { return nil }
        return UnsafeRawBufferPointer(start: PQgetvalue(result.pointer, row, index), count: Int(PQgetlength(result.pointer, row, index)))
    }

    private func name(_ index: Int32) -> String {
        PQfname(result.pointer, index).map { "\"\(String(cString: $0))\"" } ?? "number \(index + 1)"
    }
}
