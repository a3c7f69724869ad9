-- How many of some values a column has, to compare what it holds with another table. Only the survey asks, as for
--   select_column_values.
-- Result: one row, found int.
-- Binds: those of {values}, at most 50. {table} and {column} are quoted names of the site.
SELECT COUNT(DISTINCT {column}) AS [found]
FROM {table} AS [Sampled]
WHERE {column} IN ({values})
ORDER BY [found];
