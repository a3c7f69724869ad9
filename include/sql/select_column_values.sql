-- A few values of one column, to compare what it holds with what is documented. Only the survey asks, and only where a
--   column that is read is missing. No order is asked of the table, so that none of it is sorted.
-- Result: at most 5,000 rows, beside and value, of the types of their columns; beside is NULL where nothing is compared.
--   Texts are the UTF-16 units of their first 100 characters, bytes their first 16.
-- Binds: none. {table}, {beside} and {value} are quoted names of the site, the columns with these conversions.
SELECT
    [Found].[beside] AS [beside],
    [Found].[value] AS [value]
FROM (
    SELECT TOP (5000)
        {beside} AS [beside],
        {value} AS [value]
    FROM {table} AS [Sampled]
) AS [Found]
ORDER BY [Found].[beside];
